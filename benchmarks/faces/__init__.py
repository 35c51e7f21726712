"""The same jobs behind other APIs: each face imitates the service of one client.

Every face knows the same runs: a history of 50 pages of 100, one run that settled long ago, and 200 that
settle within seconds of the first request for one of them.
"""
