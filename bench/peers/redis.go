package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a Redis. Jobs are in a list, which workers move them out of with BLMOVE, or in a stream that has a group.
type redisServer struct {
	addr     string
	streams  bool
	prefetch int
}

const group = "workers"

// connect returns a client of few connections: one for what is sent in pipelines, and one for what blocks.
func (r redisServer) connect() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: r.addr, PoolSize: 2, MaxRetries: -1, ReadTimeout: -1, WriteTimeout: -1, Protocol: 2, DisableIdentity: true,
	})
}

// prepare creates the groups of streams.
func (r redisServer) prepare(ctx context.Context) error {
	c := r.connect()
	defer c.Close()
	if !r.streams {
		return c.Ping(ctx).Err()
	}
	for _, queue := range queues() {
		if err := c.XGroupCreateMkStream(ctx, queue, group, "0").Err(); err != nil {
			return err
		}
	}
	return nil
}

type redisClient struct {
	*calls
	*redis.Client
	pipeline *redis.AutoPipeliner
	streams  bool
}

func (r redisServer) client(n int) (client, error) {
	rdb := r.connect()
	pipeline, err := rdb.AutoPipeline()
	if err != nil {
		rdb.Close()
		return nil, err
	}
	c := &redisClient{calls: newCalls(n), Client: rdb, pipeline: pipeline, streams: r.streams}
	if !r.streams {
		go func() { c.abort(c.results(resultQueue(n))) }()
	}
	return c, nil
}

func (c *redisClient) close() {
	c.pipeline.Close()
	c.Client.Close()
}

func (c *redisClient) submit(queue string, job []byte) error {
	ctx := context.Background()
	if c.streams {
		return c.pipeline.XAdd(ctx, &redis.XAddArgs{Stream: queue, Values: []any{"job", job}}).Err()
	}
	return c.pipeline.LPush(ctx, queue, job).Err()
}

func (c *redisClient) request(queue string, job []byte) ([]byte, error) {
	return c.call(job, func(named []byte) error { return c.submit(queue, named) })
}

// results takes what workers have put into the client's list.
func (c *redisClient) results(list string) error {
	for {
		_, all, err := c.BLMPop(context.Background(), 0, "RIGHT", 64, list).Result()
		if err != nil {
			return err
		}
		for _, result := range all {
			c.answer([]byte(result))
		}
	}
}

func (r redisServer) worker(queue string, do func(job []byte) []byte) (*worker, error) {
	rdb := r.connect()
	name := fmt.Sprintf("%s-%p", queue, rdb)
	run := func() error { return move(rdb, queue, name, do) }
	if r.streams {
		run = func() error { return readGroup(rdb, queue, name, r.prefetch, do) }
	}
	return &worker{run, func() { rdb.Close() }}, nil
}

// move does the jobs of a list. A job is in the worker's own list while it is done; what removes it, and what asks for the
// next, share a write.
func move(rdb *redis.Client, queue, own string, do func(job []byte) []byte) error {
	ctx := context.Background()
	job, err := rdb.BLMove(ctx, queue, own, "RIGHT", "LEFT", 0).Result()
	for err == nil {
		p := rdb.Pipeline()
		if isCall(queue) {
			client, argument := caller([]byte(job))
			p.LPush(ctx, resultQueue(client), do(argument))
		} else {
			do([]byte(job))
		}
		p.LRem(ctx, own, 1, job)
		next := p.BLMove(ctx, queue, own, "RIGHT", "LEFT", 0)
		if _, err = p.Exec(ctx); err == nil {
			job, err = next.Result()
		}
	}
	return err
}

// readGroup does the jobs of a stream.
func readGroup(rdb *redis.Client, queue, name string, count int, do func(job []byte) []byte) error {
	ctx := context.Background()
	want := &redis.XReadGroupArgs{Group: group, Consumer: name, Streams: []string{queue, ">"}, Count: int64(count), Block: time.Duration(0)}
	got, err := rdb.XReadGroup(ctx, want).Result()
	for err == nil {
		var ids []string
		for _, m := range got[0].Messages {
			job, _ := m.Values["job"].(string)
			do([]byte(job))
			ids = append(ids, m.ID)
		}
		p := rdb.Pipeline()
		p.XAck(ctx, queue, group, ids...)
		p.XDel(ctx, queue, ids...)
		next := p.XReadGroup(ctx, want)
		if _, err = p.Exec(ctx); err == nil {
			got, err = next.Result()
		}
	}
	return err
}
