package main

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

// Decides by what a message says: first word at once, second one when asked.
type decides struct {
	mutex sync.Mutex
	asked map[string]*primitive.MessageExt
}

func state(word string) primitive.LocalTransactionState {
	switch word {
	case "commit":
		return primitive.CommitMessageState
	case "rollback":
		return primitive.RollbackMessageState
	}
	return primitive.UnkonwnState
}

func (d *decides) ExecuteLocalTransaction(one *primitive.Message) primitive.LocalTransactionState {
	return state(strings.Fields(string(one.Body))[0])
}

func (d *decides) CheckLocalTransaction(one *primitive.MessageExt) primitive.LocalTransactionState {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.asked[string(one.Body)] = one
	return state(strings.Fields(string(one.Body))[1])
}

func transactions() {
	const topic = "go-halves"
	listener := &decides{asked: map[string]*primitive.MessageExt{}}
	sender, err := rocketmq.NewTransactionProducer(listener, producer.WithNsResolver(servers()),
		producer.WithGroupName("go-halves-senders"), producer.WithInstanceName("go-halves-senders"),
		producer.WithCredentials(credentials()))
	must(err, "producer")
	must(sender.Start(), "start")
	for _, body := range []string{"commit now", "rollback now", "later commit", "later rollback"} {
		one := message(topic, "t", body)
		one.WithProperty("own", "1")
		result, err := sender.SendMessageInTransaction(context.Background(), one)
		must(err, body)
		check(result.Status == primitive.SendOK, "%s: %v", body, result)
	}
	asked := (*primitive.MessageExt)(nil)
	eventually(90, "two questions", func() bool {
		listener.mutex.Lock()
		defer listener.mutex.Unlock()
		asked = listener.asked["later commit"]
		return asked != nil && listener.asked["later rollback"] != nil
	})
	check(asked.Topic == topic && asked.GetTags() == "t" && asked.GetProperty("own") == "1", "asked: %v", asked)
	say("asked")
	var came bag
	reader := newPusher("go-halves-group", "go-halves-group")
	must(reader.Subscribe(topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			came.add(messages...)
			return consumer.ConsumeSuccess, nil
		}), "subscribe")
	must(reader.Start(), "start")
	came.expect(60, "committed", []string{"commit now", "later commit"})
	for _, each := range came.messages {
		check(each.GetTags() == "t" && each.GetProperty("own") == "1" && each.GetKeys() == "key-"+string(each.Body)+" all", "committed: %v", each)
	}
	say("committed, and nothing else")
	must(reader.Shutdown(), "shutdown")
}

func newPuller(group string) rocketmq.PullConsumer {
	made, err := rocketmq.NewPullConsumer(consumer.WithNsResolver(servers()), consumer.WithGroupName(group),
		consumer.WithInstance(group), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithCredentials(credentials()))
	must(err, "puller "+group)
	return made
}

func pull() {
	const topic = "go-pulled"
	sender := newProducer("go-pulled-senders")
	var expected []string
	byQueue := map[int]int64{}
	for i := 0; i < 30; i++ {
		tag := "t" + strconv.Itoa(i%3)
		result, err := sender.SendSync(context.Background(), message(topic, tag, "pulled"+strconv.Itoa(i)))
		must(err, "send")
		byQueue[result.MessageQueue.QueueId]++
		if tag == "t1" {
			expected = append(expected, "pulled"+strconv.Itoa(i))
		}
	}
	reader := newPuller("go-pollers")
	must(reader.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "t1"}), "subscribe")
	must(reader.Start(), "start")
	var came []string
	for end := time.Now().Add(60 * time.Second); len(came) < len(expected); {
		check(time.Now().Before(end), "polled %v", came)
		request, err := reader.Poll(context.Background(), time.Second)
		if consumer.IsNoNewMsgError(err) {
			continue
		}
		must(err, "poll")
		for _, each := range request.GetMsgList() {
			came = append(came, string(each.Body))
		}
		reader.ACK(context.Background(), request, consumer.ConsumeSuccess)
	}
	sort.Strings(came)
	sort.Strings(expected)
	check(fmt.Sprint(came) == fmt.Sprint(expected), "polled %v instead of %v", came, expected)
	say("polled by tag")

	taker := newPuller("go-takers")
	must(taker.Subscribe(topic, consumer.MessageSelector{}), "subscribe")
	must(taker.Start(), "start")
	queues, err := taker.GetTopicRouteInfo(topic)
	must(err, "queues")
	total := 0
	for _, queue := range queues {
		first, err := taker.OffsetForTimestamp(queue, time.Now().Add(-time.Hour).UnixMilli())
		must(err, "offset by time")
		check(first == 0, "the first offset of queue %d is %d", queue.QueueId, first)
		for offset := int64(0); offset < byQueue[queue.QueueId]; {
			result, err := taker.PullFrom(context.Background(), queue, offset, 4)
			must(err, "pull")
			messages := result.GetMessageExts()
			check(result.Status == primitive.PullFound && len(messages) > 0 && len(messages) <= 4, "pulled from %d: %v", offset, result)
			check(messages[0].QueueOffset == offset && messages[0].Topic == topic, "pulled from %d: %v", offset, messages[0])
			total += len(messages)
			offset = result.NextBeginOffset
		}
	}
	check(total == 30, "pulled %d", total)
	say("pulled from each queue")
}

func requests() {
	const topic = "go-requests"
	replier := newProducer("go-repliers")
	_, err := replier.SendSync(context.Background(), message(topic, "t", "first"))
	must(err, "first")
	reader := newPusher("go-requests-group", "go-requests-group")
	must(reader.Subscribe(topic, consumer.MessageSelector{},
		func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, each := range messages {
				if string(each.Body) == "first" {
					continue
				}
				cluster := each.GetProperty(primitive.PropertyCluster)
				check(cluster != "", "no cluster in %v", each.GetProperties())
				reply := primitive.NewMessage(cluster+"_REPLY_TOPIC", []byte("to "+string(each.Body)))
				for _, property := range []string{primitive.PropertyMsgType, primitive.PropertyCorrelationID,
					primitive.PropertyMessageReplyToClient, primitive.PropertyMessageTTL} {
					reply.WithProperty(property, each.GetProperty(property))
				}
				reply.WithProperty(primitive.PropertyMsgType, "reply")
				_, err := replier.SendSync(context.Background(), reply)
				must(err, "reply")
			}
			return consumer.ConsumeSuccess, nil
		}), "subscribe")
	must(reader.Start(), "start")
	asker := newProducer("go-requesters")
	_, err = asker.SendSync(context.Background(), message(topic, "t", "first"))
	must(err, "first")
	// Answers find who asks by his first heartbeat, which this client sends a second after its start.
	time.Sleep(2 * time.Second)
	for i := 0; i < 5; i++ {
		body := "request " + strconv.Itoa(i)
		answer, err := asker.Request(context.Background(), 20*time.Second, primitive.NewMessage(topic, []byte(body)))
		must(err, body)
		check(string(answer.Body) == "to "+body, "answer: %v", answer)
	}
	say("answered")
}

func topics() {
	administrator, err := admin.NewAdmin(admin.WithResolver(servers()), admin.WithCredentials(credentials()))
	must(err, "admin")
	ctx := context.Background()
	if !credentials().IsEmpty() {
		// It signs nothing before.
		_, err = administrator.GetAllSubscriptionGroup(ctx, server, 3*time.Second)
		must(err, "groups")
	}
	must(administrator.CreateTopic(ctx, admin.WithTopicCreate("go-made"), admin.WithBrokerAddrCreate(server),
		admin.WithReadQueueNums(3), admin.WithWriteQueueNums(3)), "create")
	names := func() string {
		all, err := administrator.FetchAllTopicList(ctx)
		must(err, "topic list")
		return " " + strings.Join(all.TopicList, " ") + " "
	}
	check(strings.Contains(names(), " go-made "), "topics: %s", names())
	queues, err := administrator.FetchPublishMessageQueues(ctx, "go-made")
	must(err, "queues")
	check(len(queues) == 3, "queues: %v", queues)
	must(administrator.DeleteTopic(ctx, admin.WithTopicDelete("go-made"), admin.WithBrokerAddrDelete(server)), "delete")
	check(!strings.Contains(names(), " go-made "), "topics: %s", names())
	say("made, listed and deleted")
	must(administrator.Close(), "close")
}
