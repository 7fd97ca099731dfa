package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"gearloop/store"
)

// LoadSettings is that of store.Settings. Each node has settings of its own. Those without a node, which an import from a
// directory leaves, hold for nodes that have none.
func (e *Engine) LoadSettings() (document []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), connectLimit)
	defer cancel()
	pool, err := e.readers(ctx)
	if err != nil {
		return nil, err
	}
	err = pool.QueryRow(ctx, `select document from setting where node in ($1, '') order by node desc limit 1`, e.opts.Node).Scan(&document)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return document, err
}

// SaveSettings is that of store.Settings.
func (e *Engine) SaveSettings(document []byte) error {
	if len(document) > store.MaxSettings {
		return fmt.Errorf("store: settings have %d bytes, the most is %d", len(document), store.MaxSettings)
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectLimit)
	defer cancel()
	pool, err := e.readers(ctx)
	if err != nil {
		return err
	}
	_, err = pool.Exec(ctx, `insert into setting (node, document) values ($1, $2)
		on conflict (node) do update set document = excluded.document`, e.opts.Node, document)
	return err
}

var _ store.Settings = (*Engine)(nil)
