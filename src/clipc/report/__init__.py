"""Tables into figures and pages."""
