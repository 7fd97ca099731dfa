// Package packaging holds what puts Gearloop in its place on a machine: units, the configuration file,
// packages, an image. It has tests alone.
package packaging
