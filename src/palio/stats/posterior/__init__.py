"""What is believed after the data: reported, never a stopping rule."""
