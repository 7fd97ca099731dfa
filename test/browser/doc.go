// Package browser contains only tests. They look at the dashboard of a running broker with a real browser,
// the headless Chromium of Debian's package. A page fails its test for an error or a warning in the console,
// a violation of the Content-Security-Policy, an answer of 400 or above that the test did not expect, and for
// whatever axe-core calls serious or critical.
//
// GEARLOOP_SCREENSHOTS=DIR makes TestPages write a picture of each page to DIR, after some minutes of load.
package browser
