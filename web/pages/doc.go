// Package pages is the dashboard: pages that are made on the server from templates, and read without
// JavaScript. What is wrong comes first; every number is one of internal/view, and every action one of the API.
//
// All links are relative, so the pages work behind any proxy prefix. Whatever a name or an argument holds is
// shown as text: html/template escapes it, and control characters are written as \xNN.
//
// Files: pages.go (what is mounted, and how a page is made), read.go (the pages), act.go (actions), words.go
// (numbers and names as they are shown), templates.
package pages
