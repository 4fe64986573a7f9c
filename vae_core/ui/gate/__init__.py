"""What stands between the network and the app: who may come in, how much at once, and what goes out."""
