// Package examples has files to begin with: alerts and a scrape for Prometheus, a dashboard of Grafana,
// objects of Kubernetes and KEDA. It has tests alone.
package examples
