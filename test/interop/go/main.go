// Checks of the broker with amqp091-go. Takes AMQP_URL; prints a line a check.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const patience = 5 * time.Second

var (
	url    = os.Getenv("AMQP_URL")
	ctx    = context.Background()
	failed bool
	names  int
)

// must ends the check with this error; check() recovers it.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(condition bool, format string, args ...any) {
	if !condition {
		panic(fmt.Errorf(format, args...))
	}
}

// the code of an AMQP error, 0 of none
func code(err error) int {
	var e *amqp.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func unique(what string) string {
	names++
	return fmt.Sprintf("%s.go.%d.%d", what, os.Getpid(), names)
}

func dial(url string, config amqp.Config) *amqp.Connection {
	config.Dial = amqp.DefaultDial(patience)
	if config.Heartbeat == 0 {
		config.Heartbeat = 10 * time.Second
	}
	connection, err := amqp.DialConfig(url, config)
	must(err)
	return connection
}

func open(connection *amqp.Connection) *amqp.Channel {
	channel, err := connection.Channel()
	must(err)
	return channel
}

// ownQueue declares an exclusive queue that the broker names.
func ownQueue(ch *amqp.Channel) string {
	queue, err := ch.QueueDeclare("", false, false, true, false, nil)
	must(err)
	return queue.Name
}

func publish(ch *amqp.Channel, exchange, key, body string) {
	must(ch.PublishWithContext(ctx, exchange, key, false, false, amqp.Publishing{Body: []byte(body)}))
}

func take(ch *amqp.Channel, queue string, autoAck bool) amqp.Delivery {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		message, ok, err := ch.Get(queue, autoAck)
		must(err)
		if ok {
			return message
		}
	}
	panic(errors.New("nothing in " + queue))
}

func next[T any](from <-chan T) T {
	select {
	case item, ok := <-from:
		expect(ok, "channel closed")
		return item
	case <-time.After(patience):
		panic(errors.New("timed out"))
	}
}

func nothing[T any](from <-chan T) {
	select {
	case item := <-from:
		panic(fmt.Errorf("unexpected %v", item))
	case <-time.After(60 * time.Millisecond):
	}
}

func consume(ch *amqp.Channel, queue, tag string, autoAck bool) <-chan amqp.Delivery {
	deliveries, err := ch.Consume(queue, tag, autoAck, false, false, false, nil)
	must(err)
	return deliveries
}

// check runs one check with a connection of its own.
func check(name string, run func(connection *amqp.Connection)) {
	result := make(chan error, 1)
	go func() {
		defer func() {
			if problem := recover(); problem != nil {
				result <- fmt.Errorf("%v", problem)
			}
		}()
		connection := dial(url, amqp.Config{})
		defer connection.Close()
		run(connection)
		result <- nil
	}()
	var err error
	select {
	case err = <-result:
	case <-time.After(12 * time.Second):
		err = errors.New("timed out")
	}
	if err != nil {
		failed = true
		fmt.Printf("not ok %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	fmt.Printf("ok %s\n", name)
}

func refused(connection *amqp.Connection, want int, call func(ch *amqp.Channel) error) {
	ch := open(connection)
	closed := ch.NotifyClose(make(chan *amqp.Error, 1))
	err := call(ch)
	if err == nil {
		err = next(closed)
	}
	expect(code(err) == want, "expected %d, got %v", want, err)
}

func main() {
	check("connect", func(connection *amqp.Connection) {
		expect(connection.Properties["product"] == "RabbitMQ", "product %v", connection.Properties["product"])
		expect(connection.Config.ChannelMax == 2047, "channel max %d", connection.Config.ChannelMax)
		expect(connection.Config.FrameSize == 131072, "frame max %d", connection.Config.FrameSize)
	})
	check("wrong password is 403", func(connection *amqp.Connection) {
		_, err := amqp.Dial(strings.Replace(url, "guest:guest", "guest:wrong", 1))
		expect(code(err) == 403, "%v", err)
	})
	check("missing vhost is 530", func(connection *amqp.Connection) {
		_, err := amqp.Dial(strings.TrimSuffix(url, "%2f") + "nowhere")
		expect(code(err) == 530 || errors.Is(err, amqp.ErrVhost), "%v", err)
	})
	check("AMQPLAIN", func(connection *amqp.Connection) {
		dial(url, amqp.Config{SASL: []amqp.Authentication{
			&amqp.AMQPlainAuth{Username: "guest", Password: "guest"}}}).Close()
	})
	check("small frames", func(connection *amqp.Connection) {
		small := dial(url, amqp.Config{FrameSize: 8192, ChannelMax: 5})
		defer small.Close()
		ch := open(small)
		queue := ownQueue(ch)
		body := strings.Repeat("0123456789", 10000)
		publish(ch, "", queue, body)
		expect(string(take(ch, queue, true).Body) == body, "body changed")
	})
	check("declare every kind", func(connection *amqp.Connection) {
		ch := open(connection)
		for _, kind := range []string{"direct", "fanout", "topic", "headers"} {
			exchange := unique(kind)
			must(ch.ExchangeDeclare(exchange, kind, false, false, false, false, nil))
			must(ch.ExchangeDeclarePassive(exchange, kind, false, false, false, false, nil))
			must(ch.ExchangeDelete(exchange, false, false))
		}
		for flags := 0; flags < 8; flags++ {
			name := unique("q")
			queue, err := ch.QueueDeclare(name, flags&1 != 0, flags&2 != 0, flags&4 != 0, false, nil)
			must(err)
			expect(queue == amqp.Queue{Name: name}, "%v", queue)
			_, err = ch.QueueDelete(name, false, false, false)
			must(err)
		}
		expect(strings.HasPrefix(ownQueue(ch), "amq.gen-"), "server-named")
	})
	check("nowait", func(connection *amqp.Connection) {
		ch := open(connection)
		queue, exchange := unique("q"), unique("x")
		must(ch.ExchangeDeclare(exchange, "fanout", false, true, false, true, nil))
		_, err := ch.QueueDeclare(queue, false, false, true, true, nil)
		must(err)
		must(ch.QueueBind(queue, "", exchange, true, nil))
		publish(ch, exchange, "", "x")
		take(ch, queue, true)
	})
	check("refusals close only their channel", func(connection *amqp.Connection) {
		good := open(connection)
		queue := ownQueue(good)
		refused(connection, 404, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive("interop.missing", false, false, false, false, nil)
			return err
		})
		refused(connection, 406, func(ch *amqp.Channel) error {
			return ch.ExchangeDeclare("amq.direct", "topic", true, false, false, false, nil)
		})
		refused(connection, 403, func(ch *amqp.Channel) error {
			return ch.QueueBind(queue, "key", "", false, nil)
		})
		refused(connection, 404, func(ch *amqp.Channel) error {
			publish(ch, "interop.missing", "", "x")
			return nil
		})
		refused(connection, 406, func(ch *amqp.Channel) error { return ch.Ack(9, false) })
		publish(good, "", queue, "still")
		take(good, queue, true)
	})
	check("locked queue is 405", func(connection *amqp.Connection) {
		queue := ownQueue(open(connection))
		other := dial(url, amqp.Config{})
		defer other.Close()
		refused(other, 405, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclarePassive(queue, false, false, false, false, nil)
			return err
		})
	})
	check("consumer tag twice is 530 of the connection", func(connection *amqp.Connection) {
		ch := open(connection)
		queue := ownQueue(ch)
		closed := connection.NotifyClose(make(chan *amqp.Error, 1))
		consume(ch, queue, "same", true)
		_, _ = ch.Consume(queue, "same", true, false, false, false, nil)
		err := next(closed)
		expect(err.Code == 530, "%v", err)
	})
	check("properties and headers round trip", func(connection *amqp.Connection) {
		ch := open(connection)
		queue := ownQueue(ch)
		when := time.Unix(1767225600, 0)
		sent := amqp.Publishing{
			ContentType: "text/plain", ContentEncoding: "utf-8", DeliveryMode: 2, Priority: 3,
			CorrelationId: "c", ReplyTo: "r", Expiration: "60000", MessageId: "m", Timestamp: when,
			Type: "t", UserId: "guest", AppId: "a", Body: []byte("body"),
			Headers: amqp.Table{
				"bool": true, "byte": byte(200), "int8": int8(-8), "int16": int16(-300), "int32": int32(-70000),
				"int64": int64(-5000000000), "float32": float32(0.5), "float64": 1.25, "string": "ß",
				"bytes": []byte{0, 255}, "time": when, "nil": nil, "decimal": amqp.Decimal{Scale: 2, Value: 314},
				"list": []any{int32(1), "two", []any{int32(3)}}, "table": amqp.Table{"inner": amqp.Table{"x": "y"}},
			},
		}
		must(ch.PublishWithContext(ctx, "", queue, false, false, sent))
		got := take(ch, queue, true)
		expect(got.ContentType == sent.ContentType && got.ContentEncoding == sent.ContentEncoding &&
			got.DeliveryMode == 2 && got.Priority == 3 && got.CorrelationId == "c" && got.ReplyTo == "r" &&
			got.Expiration == "60000" && got.MessageId == "m" && got.Timestamp.Equal(when) && got.Type == "t" &&
			got.UserId == "guest" && got.AppId == "a" && string(got.Body) == "body", "%+v", got)
		expect(len(got.Headers) == len(sent.Headers), "%d headers", len(got.Headers))
		for key, value := range sent.Headers {
			if at, ok := value.(time.Time); ok {
				expect(at.Equal(got.Headers[key].(time.Time)), "time %v", got.Headers[key])
				continue
			}
			expect(reflect.DeepEqual(got.Headers[key], value), "%s: %#v", key, got.Headers[key])
		}
	})
	check("consume with prefetch, ack, nack, reject", func(connection *amqp.Connection) {
		ch := open(connection)
		queue := ownQueue(ch)
		must(ch.Qos(2, 0, false))
		deliveries := consume(ch, queue, "", false)
		for _, body := range []string{"1", "2", "3", "4"} {
			publish(ch, "", queue, body)
		}
		first, second := next(deliveries), next(deliveries)
		expect(string(first.Body) == "1" && string(second.Body) == "2", "order")
		nothing(deliveries)
		must(first.Ack(false))
		third := next(deliveries)
		expect(string(third.Body) == "3", "third is %s", third.Body)
		must(second.Nack(false, true))
		again := next(deliveries)
		expect(string(again.Body) == "2" && again.Redelivered, "again is %s", again.Body)
		must(third.Reject(false))
		fourth := next(deliveries)
		expect(string(fourth.Body) == "4" && !fourth.Redelivered, "fourth is %s", fourth.Body)
		must(fourth.Ack(true))
	})
	check("cancel", func(connection *amqp.Connection) {
		ch := open(connection)
		queue := ownQueue(ch)
		deliveries := consume(ch, queue, "tag", true)
		must(ch.Cancel("tag", false))
		_, ok := <-deliveries
		expect(!ok, "deliveries still open")
		publish(ch, "", queue, "x")
		take(ch, queue, true)
	})
	check("recover", func(connection *amqp.Connection) {
		ch := open(connection)
		queue := ownQueue(ch)
		deliveries := consume(ch, queue, "", false)
		publish(ch, "", queue, "x")
		next(deliveries)
		must(ch.Recover(true))
		expect(next(deliveries).Redelivered, "not marked")
	})
	check("consumer is told when its queue goes", func(connection *amqp.Connection) {
		ch := open(connection)
		queue, err := ch.QueueDeclare(unique("q"), false, false, false, false, nil)
		must(err)
		cancelled := ch.NotifyCancel(make(chan string, 1))
		consume(ch, queue.Name, "watch", true)
		_, err = open(connection).QueueDelete(queue.Name, false, false, false)
		must(err)
		expect(next(cancelled) == "watch", "another tag")
	})
	check("confirms", func(connection *amqp.Connection) {
		ch := open(connection)
		must(ch.Confirm(false))
		queue := ownQueue(ch)
		var waiting []*amqp.DeferredConfirmation
		for i := 0; i < 1000; i++ {
			confirmation, err := ch.PublishWithDeferredConfirm("", queue, true, false, amqp.Publishing{})
			must(err)
			waiting = append(waiting, confirmation)
		}
		limit, stop := context.WithTimeout(ctx, patience)
		defer stop()
		for _, confirmation := range waiting {
			acked, err := confirmation.WaitContext(limit)
			must(err)
			expect(acked, "nacked")
		}
		purged, err := ch.QueuePurge(queue, false)
		must(err)
		expect(purged == 1000, "%d in the queue", purged)
	})
	check("return comes before its confirm", func(connection *amqp.Connection) {
		ch := open(connection)
		must(ch.Confirm(false))
		returns := ch.NotifyReturn(make(chan amqp.Return, 1))
		confirms := ch.NotifyPublish(make(chan amqp.Confirmation, 1))
		must(ch.PublishWithContext(ctx, "amq.direct", "nobody", true, false, amqp.Publishing{Body: []byte("lost")}))
		confirmation := next(confirms)
		expect(confirmation.Ack && confirmation.DeliveryTag == 1, "%v", confirmation)
		select {
		case returned := <-returns:
			expect(returned.ReplyCode == 312 && returned.ReplyText == "NO_ROUTE" && string(returned.Body) == "lost",
				"%+v", returned)
		default:
			panic(errors.New("the confirm came first"))
		}
	})
	check("exchange bindings and alternate exchange", func(connection *amqp.Connection) {
		ch := open(connection)
		source, target, rest := unique("s"), unique("t"), unique("r")
		must(ch.ExchangeDeclare(rest, "fanout", false, true, false, false, nil))
		must(ch.ExchangeDeclare(target, "topic", false, true, true, false, nil))
		must(ch.ExchangeDeclare(source, "direct", false, false, false, false, amqp.Table{"alternate-exchange": rest}))
		must(ch.ExchangeBind(target, "a.b", source, false, nil))
		inside, outside := ownQueue(ch), ownQueue(ch)
		must(ch.QueueBind(inside, "a.*", target, false, nil))
		must(ch.QueueBind(outside, "", rest, false, nil))
		publish(ch, source, "a.b", "in")
		publish(ch, source, "a.c", "out")
		expect(string(take(ch, inside, true).Body) == "in", "inside")
		expect(string(take(ch, outside, true).Body) == "out", "outside")
		must(ch.ExchangeUnbind(target, "a.b", source, false, nil))
		must(ch.ExchangeDelete(source, false, false))
	})
	check("transactions", func(connection *amqp.Connection) {
		ch, watcher := open(connection), open(connection)
		queue := ownQueue(watcher)
		must(ch.Tx())
		publish(ch, "", queue, "no")
		must(ch.TxRollback())
		publish(ch, "", queue, "yes")
		_, ok, err := watcher.Get(queue, true)
		must(err)
		expect(!ok, "visible before the commit")
		must(ch.TxCommit())
		expect(string(take(watcher, queue, true).Body) == "yes", "body")
	})
	check("direct reply-to", func(connection *amqp.Connection) {
		ch := open(connection)
		queue := ownQueue(ch)
		replies := consume(ch, "amq.rabbitmq.reply-to", "", true)
		must(ch.PublishWithContext(ctx, "", queue, false, false, amqp.Publishing{
			ReplyTo: "amq.rabbitmq.reply-to", CorrelationId: "1"}))
		asked := take(ch, queue, true)
		publish(open(connection), "", asked.ReplyTo, "pong")
		expect(string(next(replies).Body) == "pong", "body")
	})
	check("large bodies", func(connection *amqp.Connection) {
		ch := open(connection)
		queue := ownQueue(ch)
		for _, size := range []int{1 << 20, 16<<20 - 1} {
			body := bytes.Repeat([]byte("z"), size)
			must(ch.PublishWithContext(ctx, "", queue, false, false, amqp.Publishing{Body: body}))
			expect(bytes.Equal(take(ch, queue, true).Body, body), "body of %d changed", size)
		}
	})
	check("many channels at once", func(connection *amqp.Connection) {
		queue := ownQueue(open(connection))
		var all sync.WaitGroup
		for i := 0; i < 200; i++ {
			all.Add(1)
			go func() {
				defer all.Done()
				ch, err := connection.Channel()
				if err == nil {
					_ = ch.PublishWithContext(ctx, "", queue, false, false, amqp.Publishing{})
					_, _ = ch.QueueDeclarePassive(queue, false, false, true, false, nil)
				}
			}()
		}
		all.Wait()
		ch := open(connection)
		for i := 0; i < 200; i++ {
			take(ch, queue, true)
		}
	})
	check("heartbeats", func(connection *amqp.Connection) {
		beating := dial(url, amqp.Config{Heartbeat: time.Second})
		defer beating.Close()
		time.Sleep(3200 * time.Millisecond)
		expect(!beating.IsClosed(), "closed")
		open(beating)
	})
	check("update secret", func(connection *amqp.Connection) {
		must(connection.UpdateSecret("guest", "as a test"))
		open(connection)
	})
	if failed {
		os.Exit(1)
	}
}
