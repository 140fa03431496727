"""Makes the small captures beside this folder and says what a probe must find in them."""
