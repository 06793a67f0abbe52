"""How fast is each screen of the admin beside ten million rows? ``make screens``."""
