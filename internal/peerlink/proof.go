package peerlink

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strconv"
)

// Proof is what a broker answers to a nonce: it knows the secret and means the broker with this run.
func Proof(secret string, run uint64, nonce string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("gearloop peer " + strconv.FormatUint(run, 10) + " " + nonce))
	return hex.EncodeToString(h.Sum(nil))
}

// Door checks the proofs of brokers. It keeps nothing of a connection: the nonce follows from its address.
type Door struct {
	// Self returns the secret of the database and this broker's run; run 0: nobody is let in.
	Self func() (secret string, run uint64)

	key [32]byte
}

// NewDoor returns a Door with a key of its own.
func NewDoor(self func() (secret string, run uint64)) *Door {
	d := &Door{Self: self}
	_, _ = rand.Read(d.key[:]) // it never fails
	return d
}

// Nonce returns the nonce for a connection from an address.
func (d *Door) Nonce(from netip.AddrPort) string {
	h := hmac.New(sha256.New, d.key[:])
	h.Write([]byte(from.String()))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Admits reports whether a proof from an address is right.
func (d *Door) Admits(from netip.AddrPort, proof string) bool {
	secret, run := d.Self()
	return from.IsValid() && secret != "" && run != 0 && hmac.Equal([]byte(proof), []byte(Proof(secret, run, d.Nonce(from))))
}
