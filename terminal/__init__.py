"""The cashier's register. `till` is what it does, `app`, `screens` and `widgets` what it shows."""
