"""What takes several dialogs: each flow is a worker of the app, so no screen can end it."""
