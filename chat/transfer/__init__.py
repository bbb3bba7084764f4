"""Conversations taken out of the site, and brought into it: export and import."""
