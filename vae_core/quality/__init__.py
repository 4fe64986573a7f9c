"""What is told of a trained model beyond its errors: bounds, samples, single images, a picture among them."""
