//! Typed client of the platform API, worker side and operator side
