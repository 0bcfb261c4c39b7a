"""A tenant sync as a Temporal workflow; imported only where it is needed: `headwater[temporal]`."""
