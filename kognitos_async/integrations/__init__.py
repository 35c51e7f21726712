"""What frameworks load on request; each module needs the package it is named after."""
