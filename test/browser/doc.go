// Package browser has no code of its own: its tests look at the dashboard of a running broker with a real
// browser, the headless Chromium of Debian's package. A page fails its test for what a person would trip
// over: an error or a warning in the console, a violation of the Content-Security-Policy, an answer of 400 or
// above that the test did not ask for, and what axe-core calls serious or critical.
//
// GEARLOOP_SCREENSHOTS=DIR has TestPages write a picture of each page there, after some minutes of load.
package browser
