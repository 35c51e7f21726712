"""Models of the platform API: `runs` and `base` by hand, `generated` from the vendor's schema."""
