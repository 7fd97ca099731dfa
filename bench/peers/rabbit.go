package main

import (
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
)

// rabbit is a RabbitMQ. Results come through its direct reply-to.
type rabbit struct {
	addr     string
	queue    amqp.Table // arguments of queues
	durable  bool       // queues and messages
	prefetch int
}

func (r rabbit) connect() (*amqp.Connection, *amqp.Channel, error) {
	conn, err := amqp.Dial("amqp://guest:guest@" + r.addr + "/")
	if err != nil {
		return nil, nil, err
	}
	ch, err := conn.Channel()
	if err != nil {
		conn.Close()
	}
	return conn, ch, err
}

// prepare declares the queues.
func (r rabbit) prepare() error {
	conn, ch, err := r.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, queue := range queues() {
		if _, err := ch.QueueDeclare(queue, r.durable, false, false, false, r.queue); err != nil {
			return err
		}
	}
	return nil
}

const replyTo = "amq.rabbitmq.reply-to"

type rabbitClient struct {
	*calls
	conn     *amqp.Connection
	jobs     *amqp.Channel // its messages are confirmed
	requests *amqp.Channel // the result is the confirmation
	mode     uint8
	last     atomic.Uint64
}

func (r rabbit) client(n int) (client, error) {
	conn, jobs, err := r.connect()
	if err != nil {
		return nil, err
	}
	c := &rabbitClient{calls: newCalls(n), conn: conn, jobs: jobs, mode: amqp.Transient}
	if r.durable {
		c.mode = amqp.Persistent
	}
	var results <-chan amqp.Delivery
	if err = jobs.Confirm(false); err == nil {
		c.requests, err = conn.Channel()
	}
	if err == nil {
		results, err = c.requests.Consume(replyTo, "", true, false, false, false, nil)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	go func() {
		for d := range results {
			c.answer(d.Body)
		}
		c.abort(amqp.ErrClosed)
	}()
	return c, nil
}

func (c *rabbitClient) close() { c.conn.Close() }

func (c *rabbitClient) submit(queue string, job []byte) error {
	confirmed, err := c.jobs.PublishWithDeferredConfirm("", queue, false, false, amqp.Publishing{DeliveryMode: c.mode, Body: job})
	if err != nil {
		return err
	}
	if !confirmed.Wait() {
		return errors.New("the server has not confirmed a message")
	}
	return nil
}

func (c *rabbitClient) request(queue string, job []byte) ([]byte, error) {
	id := strconv.FormatUint(c.last.Add(1), 36)
	return c.call(job, func([]byte) error {
		return c.requests.Publish("", queue, false, false,
			amqp.Publishing{DeliveryMode: c.mode, ReplyTo: replyTo, CorrelationId: id, Body: job})
	})
}

func (r rabbit) worker(queue string, do func(job []byte) []byte) (*worker, error) {
	conn, ch, err := r.connect()
	if err != nil {
		return nil, err
	}
	err = ch.Qos(r.prefetch, 0, false)
	var jobs <-chan amqp.Delivery
	if err == nil {
		jobs, err = ch.Consume(queue, "", false, false, false, false, nil)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	run := func() error {
		for d := range jobs {
			result := do(d.Body)
			if d.ReplyTo != "" {
				if err := ch.Publish("", d.ReplyTo, false, false, amqp.Publishing{CorrelationId: d.CorrelationId, Body: result}); err != nil {
					return fmt.Errorf("reply: %w", err)
				}
			}
			if err := d.Ack(false); err != nil {
				return err
			}
		}
		return amqp.ErrClosed
	}
	return &worker{run, func() { conn.Close() }}, nil
}
