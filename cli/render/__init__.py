"""`porchflow render`: renders the package in a folder, as the render phase does for a PackageRevision."""
