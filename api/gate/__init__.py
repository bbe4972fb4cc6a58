"""What gates take with them so that they can decide without the server (R21, R22, R33)."""
