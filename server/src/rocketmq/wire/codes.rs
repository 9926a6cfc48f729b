//! The numbers of requests and answers.

/// Requests that this door knows, served or not, by number.
const NAMES: &[(i32, &str)] = &[
    (10, "SEND_MESSAGE"),
    (11, "PULL_MESSAGE"),
    (12, "QUERY_MESSAGE"),
    (14, "QUERY_CONSUMER_OFFSET"),
    (15, "UPDATE_CONSUMER_OFFSET"),
    (17, "UPDATE_AND_CREATE_TOPIC"),
    (18, "UPDATE_AND_CREATE_TOPIC_LIST"),
    (21, "GET_ALL_TOPIC_CONFIG"),
    (25, "UPDATE_BROKER_CONFIG"),
    (26, "GET_BROKER_CONFIG"),
    (28, "GET_BROKER_RUNTIME_INFO"),
    (29, "SEARCH_OFFSET_BY_TIMESTAMP"),
    (30, "GET_MAX_OFFSET"),
    (31, "GET_MIN_OFFSET"),
    (32, "GET_EARLIEST_MSG_STORETIME"),
    (33, "VIEW_MESSAGE_BY_ID"),
    (34, "HEART_BEAT"),
    (35, "UNREGISTER_CLIENT"),
    (36, "CONSUMER_SEND_MSG_BACK"),
    (37, "END_TRANSACTION"),
    (38, "GET_CONSUMER_LIST_BY_GROUP"),
    (41, "LOCK_BATCH_MQ"),
    (42, "UNLOCK_BATCH_MQ"),
    (46, "CHECK_CLIENT_CONFIG"),
    (100, "PUT_KV_CONFIG"),
    (101, "GET_KV_CONFIG"),
    (102, "DELETE_KV_CONFIG"),
    (105, "GET_ROUTEINFO_BY_TOPIC"),
    (106, "GET_BROKER_CLUSTER_INFO"),
    (200, "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP"),
    (201, "GET_ALL_SUBSCRIPTIONGROUP_CONFIG"),
    (202, "GET_TOPIC_STATS_INFO"),
    (203, "GET_CONSUMER_CONNECTION_LIST"),
    (204, "GET_PRODUCER_CONNECTION_LIST"),
    (206, "GET_ALL_TOPIC_LIST_FROM_NAMESERVER"),
    (207, "DELETE_SUBSCRIPTIONGROUP"),
    (208, "GET_CONSUME_STATS"),
    (215, "DELETE_TOPIC_IN_BROKER"),
    (216, "DELETE_TOPIC_IN_NAMESRV"),
    (222, "INVOKE_BROKER_TO_RESET_OFFSET"),
    (224, "GET_TOPICS_BY_CLUSTER"),
    (300, "QUERY_TOPIC_CONSUME_BY_WHO"),
    (303, "QUERY_CONSUME_TIME_SPAN"),
    (304, "GET_SYSTEM_TOPIC_LIST_FROM_NS"),
    (305, "GET_SYSTEM_TOPIC_LIST_FROM_BROKER"),
    (307, "GET_CONSUMER_RUNNING_INFO"),
    (309, "CONSUME_MESSAGE_DIRECTLY"),
    (310, "SEND_MESSAGE_V2"),
    (315, "VIEW_BROKER_STATS_DATA"),
    (318, "UPDATE_NAMESRV_CONFIG"),
    (319, "GET_NAMESRV_CONFIG"),
    (320, "SEND_BATCH_MESSAGE"),
    (324, "SEND_REPLY_MESSAGE"),
    (325, "SEND_REPLY_MESSAGE_V2"),
    (326, "PUSH_REPLY_MESSAGE_TO_CLIENT"),
    (328, "GET_ALL_PRODUCER_INFO"),
    (343, "QUERY_TOPICS_BY_CONSUMER"),
    (345, "QUERY_SUBSCRIPTION_BY_CONSUMER"),
    (351, "GET_TOPIC_CONFIG"),
    (352, "GET_SUBSCRIPTIONGROUP_CONFIG"),
    (361, "LITE_PULL_MESSAGE"),
    (370, "RECALL_MESSAGE"),
    (400, "QUERY_ASSIGNMENT"),
    (401, "SET_MESSAGE_REQUEST_MODE"),
    (200_050, "POP_MESSAGE"),
    (200_051, "ACK_MESSAGE"),
    (200_052, "PEEK_MESSAGE"),
    (200_053, "CHANGE_MESSAGE_INVISIBLETIME"),
    (200_054, "NOTIFICATION"),
    (200_055, "POLLING_INFO"),
    (200_151, "BATCH_ACK_MESSAGE"),
];

pub(crate) const SEND_MESSAGE: i32 = 10;
pub(crate) const PULL_MESSAGE: i32 = 11;
pub(crate) const QUERY_MESSAGE: i32 = 12;
pub(crate) const QUERY_CONSUMER_OFFSET: i32 = 14;
pub(crate) const UPDATE_CONSUMER_OFFSET: i32 = 15;
pub(crate) const SEARCH_OFFSET_BY_TIMESTAMP: i32 = 29;
pub(crate) const GET_MAX_OFFSET: i32 = 30;
pub(crate) const GET_MIN_OFFSET: i32 = 31;
pub(crate) const GET_EARLIEST_STORE_TIME: i32 = 32;
pub(crate) const VIEW_MESSAGE_BY_ID: i32 = 33;
pub(crate) const HEART_BEAT: i32 = 34;
pub(crate) const UNREGISTER_CLIENT: i32 = 35;
pub(crate) const CONSUMER_SEND_BACK: i32 = 36;
pub(crate) const GET_CONSUMER_LIST: i32 = 38;
pub(crate) const NOTIFY_CONSUMER_IDS_CHANGED: i32 = 40;
pub(crate) const LOCK_QUEUES: i32 = 41;
pub(crate) const UNLOCK_QUEUES: i32 = 42;
pub(crate) const END_TRANSACTION: i32 = 37;
/// Asked of producers.
pub(crate) const CHECK_TRANSACTION_STATE: i32 = 39;
pub(crate) const CHECK_CLIENT_CONFIG: i32 = 46;
pub(crate) const GET_ROUTE: i32 = 105;
pub(crate) const SEND_MESSAGE_V2: i32 = 310;
pub(crate) const SEND_BATCH_MESSAGE: i32 = 320;
pub(crate) const LITE_PULL_MESSAGE: i32 = 361;
pub(crate) const RECALL_MESSAGE: i32 = 370;
pub(crate) const SEND_REPLY_MESSAGE: i32 = 324;
pub(crate) const SEND_REPLY_MESSAGE_V2: i32 = 325;
/// Asked of producers.
pub(crate) const PUSH_REPLY_MESSAGE: i32 = 326;

/// Of administrators.
pub(crate) const UPDATE_AND_CREATE_TOPIC: i32 = 17;
pub(crate) const UPDATE_AND_CREATE_TOPIC_LIST: i32 = 18;
pub(crate) const GET_ALL_TOPIC_CONFIG: i32 = 21;
pub(crate) const UPDATE_BROKER_CONFIG: i32 = 25;
pub(crate) const GET_BROKER_CONFIG: i32 = 26;
pub(crate) const GET_BROKER_RUNTIME_INFO: i32 = 28;
pub(crate) const GET_KV_CONFIG: i32 = 101;
pub(crate) const DELETE_KV_CONFIG: i32 = 102;
pub(crate) const GET_CLUSTER_INFO: i32 = 106;
pub(crate) const UPDATE_AND_CREATE_GROUP: i32 = 200;
pub(crate) const GET_ALL_GROUP_CONFIGS: i32 = 201;
pub(crate) const GET_TOPIC_STATS: i32 = 202;
pub(crate) const GET_CONSUMER_CONNECTIONS: i32 = 203;
pub(crate) const GET_PRODUCER_CONNECTIONS: i32 = 204;
pub(crate) const GET_ALL_TOPIC_LIST: i32 = 206;
pub(crate) const DELETE_GROUP: i32 = 207;
pub(crate) const GET_CONSUME_STATS: i32 = 208;
pub(crate) const DELETE_TOPIC_IN_BROKER: i32 = 215;
pub(crate) const DELETE_TOPIC_IN_NAMESRV: i32 = 216;
pub(crate) const RESET_OFFSETS: i32 = 222;
pub(crate) const GET_TOPICS_BY_CLUSTER: i32 = 224;
pub(crate) const QUERY_TOPIC_CONSUMERS: i32 = 300;
pub(crate) const QUERY_CONSUME_TIME_SPAN: i32 = 303;
pub(crate) const GET_SYSTEM_TOPICS_FROM_NS: i32 = 304;
pub(crate) const GET_SYSTEM_TOPICS_FROM_BROKER: i32 = 305;
/// Asked of consumers too.
pub(crate) const GET_CONSUMER_RUNNING_INFO: i32 = 307;
pub(crate) const CONSUME_MESSAGE_DIRECTLY: i32 = 309;
pub(crate) const VIEW_BROKER_STATS: i32 = 315;
pub(crate) const UPDATE_NAMESRV_CONFIG: i32 = 318;
pub(crate) const GET_NAMESRV_CONFIG: i32 = 319;
pub(crate) const GET_ALL_PRODUCERS: i32 = 328;
pub(crate) const QUERY_TOPICS_OF_CONSUMER: i32 = 343;
pub(crate) const QUERY_SUBSCRIPTION: i32 = 345;
pub(crate) const GET_TOPIC_CONFIG: i32 = 351;
pub(crate) const GET_GROUP_CONFIG: i32 = 352;

pub(crate) const QUERY_ASSIGNMENT: i32 = 400;
pub(crate) const SET_REQUEST_MODE: i32 = 401;
pub(crate) const POP_MESSAGE: i32 = 200_050;
pub(crate) const ACK_MESSAGE: i32 = 200_051;
pub(crate) const CHANGE_INVISIBLE_TIME: i32 = 200_053;
pub(crate) const NOTIFICATION: i32 = 200_054;
pub(crate) const BATCH_ACK_MESSAGE: i32 = 200_151;

/// Of answers.
pub(crate) const SUCCESS: i32 = 0;
pub(crate) const SYSTEM_ERROR: i32 = 1;
pub(crate) const SYSTEM_BUSY: i32 = 2;
pub(crate) const NOT_SUPPORTED: i32 = 3;
pub(crate) const MESSAGE_ILLEGAL: i32 = 13;
pub(crate) const SERVICE_NOT_AVAILABLE: i32 = 14;
pub(crate) const NO_PERMISSION: i32 = 16;
pub(crate) const TOPIC_NOT_EXIST: i32 = 17;
pub(crate) const PULL_NOT_FOUND: i32 = 19;
pub(crate) const PULL_RETRY_IMMEDIATELY: i32 = 20;
pub(crate) const PULL_OFFSET_MOVED: i32 = 21;
pub(crate) const QUERY_NOT_FOUND: i32 = 22;
pub(crate) const SUBSCRIPTION_PARSE_FAILED: i32 = 23;
pub(crate) const SUBSCRIPTION_NOT_EXIST: i32 = 24;
pub(crate) const SUBSCRIPTION_NOT_LATEST: i32 = 25;
/// The subscription's expression is wrong, and was taken by a heartbeat all the same.
pub(crate) const FILTER_DATA_NOT_EXIST: i32 = 27;
pub(crate) const GROUP_NOT_EXIST: i32 = 26;
pub(crate) const INVALID_PARAMETER: i32 = 29;
pub(crate) const CONSUMER_NOT_ONLINE: i32 = 206;
pub(crate) const CONSUME_TIMEOUT: i32 = 207;
pub(crate) const ILLEGAL_OPERATION: i32 = 604;
pub(crate) const NO_MESSAGE: i32 = 208;
pub(crate) const POLLING_TIMEOUT: i32 = 210;

/// A request's name, or its number where it has none here.
pub(crate) fn name(code: i32) -> String {
    let named = NAMES.iter().find(|(number, _)| *number == code);
    named.map_or_else(|| format!("request {code}"), |(_, name)| format!("{name} ({code})"))
}
