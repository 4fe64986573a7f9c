"""The five tabs: for each, what is on it; how it moves is in static, what it asks for in routes."""
