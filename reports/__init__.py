"""The record: what a finished cell says, and the tables, figures and pages made of records."""
