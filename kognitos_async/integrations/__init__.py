"""Integrations with frameworks and databases; each module needs the package it is named after."""
