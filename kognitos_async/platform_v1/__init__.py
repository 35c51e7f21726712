"""The current platform API: organizations, workspaces, automations and runs."""
