mod hostile;
mod pair;
mod world;
