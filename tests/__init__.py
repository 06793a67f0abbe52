"""What does this installation promise? Tests, from single functions to whole journeys."""
