package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"gearloop/internal/acl"
	"gearloop/internal/proxyproto"
)

// accessOptions are the options for who may do what on the Gearman port.
type accessOptions struct {
	file    string // path of the access list; "" = none
	proxies networks
}

// networks is the flag of networks of proxies.
type networks proxyproto.Networks

func (n *networks) String() string { return strings.Join(n.values(), ",") }

func (n *networks) values() (all []string) {
	for _, p := range *n {
		all = append(all, p.String())
	}
	return all
}

func (n *networks) Set(text string) error {
	if text == "" {
		return errEmpty
	}
	p, err := acl.ParseNetwork(text)
	if err == nil {
		*n = append(*n, p)
	}
	return err
}

func (n *networks) Type() string { return repeatable }

func (a *accessOptions) register(f *pflag.FlagSet) {
	f.Var(&text{at: &a.file, typ: "file"}, "acl",
		"`file` that says who may submit, work, look and administrate; whoever it does not name may do nothing; read again on SIGHUP")
	f.Var(&a.proxies, "proxy-protocol",
		"`network` of proxies, as 10.0.0.0/8 or 10.0.0.7, whose connections begin with a PROXY header (version 1 or 2), which says "+
			"whose they are; from others a header ends the connection; may be repeated")
}

// check rejects contradictory options.
func (a *accessOptions) check(o *options) error {
	if a.file != "" && o.allowAdmin.given {
		return errors.New("--allow-admin has no meaning with --acl: leave it out, and write admin lines into the access list")
	}
	return nil
}

// open reads the access list; nil if there is none. An error in it counts as one of configuration.
func (a *accessOptions) open() (*acl.List, error) {
	if a.file == "" {
		return nil, nil
	}
	file, err := filepath.Abs(a.file)
	if err != nil {
		return nil, err
	}
	l, err := acl.Open(file)
	if err != nil {
		return nil, usageError{fmt.Errorf("--acl: %w", err)}
	}
	return l, nil
}

// checkFile reports errors in the access list.
func (a *accessOptions) checkFile() error {
	_, err := a.open()
	return err
}

// warnOfACL logs likely mistakes about the access list.
func (p *process) warnOfACL() {
	if p.acl == nil {
		return
	}
	if err := unix.Faccessat(unix.AT_FDCWD, p.acl.File(), unix.R_OK, unix.AT_EACCESS); err != nil {
		p.log.Warn("the access list can't be read again on SIGHUP; a new one needs a restart", "file", p.acl.File(), "error", err)
	}
	names := p.acl.Certificates()
	if len(names) > 0 && !p.tls.asksClients() {
		p.log.Warn("no client is asked for a certificate, so that these sections of the access list match nobody: give "+
			"--ssl-ca-file, and --ssl-verify-client if every client has one", "sections", strings.Join(names, ", "))
	}
}

// reloadACL reads the access list again.
func (p *process) reloadACL() error {
	if p.acl == nil {
		return nil
	}
	if err := p.acl.Reload(); err != nil {
		return err
	}
	p.server.ReviewRights()
	p.log.Info("the access list is in force", "file", p.acl.File(), "sections", p.acl.Sections())
	return nil
}
