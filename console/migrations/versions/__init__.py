"""How the database came to have its tables, one step a release."""
