"""GluCEST: from saturation images and field maps to a map in percent. Arrays in, arrays out."""
