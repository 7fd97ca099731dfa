// Package pages is the dashboard: pages rendered on the server from templates, readable without JavaScript.
// Problems come first; every number comes from internal/view, and every action is one of the API.
//
// All links are relative, so the pages work behind any proxy prefix. The content of names and arguments is
// shown as text: html/template escapes it, and control characters are written as \xNN.
//
// Files: pages.go (what is mounted, and how a page is made); overview.go, functions.go, function.go, jobs.go,
// job.go (with argument.go), workers.go, system.go and cluster.go (the pages); find.go (the search field);
// chart.go (diagrams); act.go (actions), bulk.go (actions on many jobs); words.go (numbers and names as they
// are shown); templates.
package pages
