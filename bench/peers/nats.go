package main

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsServer is a NATS server: requests go to a queue group of subscribers, background jobs into a work queue of JetStream.
type natsServer struct {
	addr     string
	prefetch int
}

const stream = "jobs"

func (n natsServer) connect() (*nats.Conn, jetstream.JetStream, error) {
	nc, err := nats.Connect("nats://"+n.addr, nats.NoReconnect())
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	return nc, js, err
}

// prepare creates the stream and a consumer for each queue.
func (n natsServer) prepare(ctx context.Context, storage jetstream.StorageType) error {
	nc, js, err := n.connect()
	if err != nil {
		return err
	}
	defer nc.Close()
	s, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: stream, Subjects: jobQueues(), Retention: jetstream.WorkQueuePolicy, Storage: storage,
	})
	for _, queue := range jobQueues() {
		if err == nil {
			_, err = s.CreateConsumer(ctx, jetstream.ConsumerConfig{
				Durable: queue, FilterSubject: queue, AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute,
			})
		}
	}
	return err
}

type natsClient struct {
	*nats.Conn
	js jetstream.JetStream
}

func (n natsServer) client(int) (client, error) {
	nc, js, err := n.connect()
	return natsClient{nc, js}, err
}

func (c natsClient) close() { c.Close() }

func (c natsClient) submit(queue string, job []byte) error {
	f, err := c.js.PublishAsync(queue, job)
	if err != nil {
		return err
	}
	select {
	case <-f.Ok():
		return nil
	case err := <-f.Err():
		return err
	}
}

func (c natsClient) request(queue string, job []byte) ([]byte, error) {
	m, err := c.Request(queue, job, stall)
	if err != nil {
		return nil, err
	}
	return m.Data, nil
}

func (n natsServer) worker(queue string, do func(job []byte) []byte) (*worker, error) {
	nc, js, err := n.connect()
	if err != nil {
		return nil, err
	}
	failed, closed := make(chan error, 1), make(chan struct{})
	fail := func(err error) {
		select {
		case failed <- err:
		default:
		}
	}
	if isCall(queue) {
		_, err = nc.QueueSubscribe(queue, "workers", func(m *nats.Msg) {
			if err := m.Respond(do(m.Data)); err != nil {
				fail(err)
			}
		})
	} else {
		var c jetstream.Consumer
		if c, err = js.Consumer(context.Background(), stream, queue); err == nil {
			_, err = c.Consume(func(m jetstream.Msg) {
				do(m.Data())
				if err := m.Ack(); err != nil {
					fail(err)
				}
			}, jetstream.PullMaxMessages(n.prefetch))
		}
	}
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	run := func() error {
		select {
		case err := <-failed:
			return err
		case <-closed:
			return nats.ErrConnectionClosed
		}
	}
	return &worker{run, nc.Close}, nil
}
