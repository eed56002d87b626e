"""What a pilot is worth: data equivalence, return on investment, gates, and the verdict for who decides."""
