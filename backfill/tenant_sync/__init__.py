"""Tenant sync: one tenant of an application brought up to date, essential data before a login goes on."""
