from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AutoOffsetReset(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AUTO_OFFSET_RESET_LATEST: _ClassVar[AutoOffsetReset]
    AUTO_OFFSET_RESET_EARLIEST: _ClassVar[AutoOffsetReset]
    AUTO_OFFSET_RESET_NONE: _ClassVar[AutoOffsetReset]

class GroupMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GROUP_MODE_SHARED: _ClassVar[GroupMode]
    GROUP_MODE_BROADCAST: _ClassVar[GroupMode]

class Compression(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMPRESSION_NONE: _ClassVar[Compression]
    COMPRESSION_LZ4_FRAME: _ClassVar[Compression]
    COMPRESSION_ZSTD: _ClassVar[Compression]

class EndReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    END_REASON_ERROR: _ClassVar[EndReason]
    END_REASON_LEFT: _ClassVar[EndReason]
    END_REASON_REPLACED: _ClassVar[EndReason]
    END_REASON_SCHEMA_CHANGED: _ClassVar[EndReason]
    END_REASON_SHUTDOWN: _ClassVar[EndReason]

class Durability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DURABILITY_SYNC: _ClassVar[Durability]
    DURABILITY_OS: _ClassVar[Durability]

class ErrorKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_KIND_INTERNAL: _ClassVar[ErrorKind]
    ERROR_KIND_INVALID_INPUT: _ClassVar[ErrorKind]
    ERROR_KIND_NOT_FOUND: _ClassVar[ErrorKind]
    ERROR_KIND_ALREADY_EXISTS: _ClassVar[ErrorKind]
    ERROR_KIND_FAILED_PRECONDITION: _ClassVar[ErrorKind]
    ERROR_KIND_OUT_OF_RANGE: _ClassVar[ErrorKind]
    ERROR_KIND_FENCED: _ClassVar[ErrorKind]
    ERROR_KIND_RETRY: _ClassVar[ErrorKind]
    ERROR_KIND_RESOURCE_EXHAUSTED: _ClassVar[ErrorKind]
    ERROR_KIND_PERMISSION_DENIED: _ClassVar[ErrorKind]
    ERROR_KIND_UNSUPPORTED: _ClassVar[ErrorKind]
    ERROR_KIND_REOPEN: _ClassVar[ErrorKind]
    ERROR_KIND_CORRUPT: _ClassVar[ErrorKind]
    ERROR_KIND_UNAUTHENTICATED: _ClassVar[ErrorKind]
AUTO_OFFSET_RESET_LATEST: AutoOffsetReset
AUTO_OFFSET_RESET_EARLIEST: AutoOffsetReset
AUTO_OFFSET_RESET_NONE: AutoOffsetReset
GROUP_MODE_SHARED: GroupMode
GROUP_MODE_BROADCAST: GroupMode
COMPRESSION_NONE: Compression
COMPRESSION_LZ4_FRAME: Compression
COMPRESSION_ZSTD: Compression
END_REASON_ERROR: EndReason
END_REASON_LEFT: EndReason
END_REASON_REPLACED: EndReason
END_REASON_SCHEMA_CHANGED: EndReason
END_REASON_SHUTDOWN: EndReason
DURABILITY_SYNC: Durability
DURABILITY_OS: Durability
ERROR_KIND_INTERNAL: ErrorKind
ERROR_KIND_INVALID_INPUT: ErrorKind
ERROR_KIND_NOT_FOUND: ErrorKind
ERROR_KIND_ALREADY_EXISTS: ErrorKind
ERROR_KIND_FAILED_PRECONDITION: ErrorKind
ERROR_KIND_OUT_OF_RANGE: ErrorKind
ERROR_KIND_FENCED: ErrorKind
ERROR_KIND_RETRY: ErrorKind
ERROR_KIND_RESOURCE_EXHAUSTED: ErrorKind
ERROR_KIND_PERMISSION_DENIED: ErrorKind
ERROR_KIND_UNSUPPORTED: ErrorKind
ERROR_KIND_REOPEN: ErrorKind
ERROR_KIND_CORRUPT: ErrorKind
ERROR_KIND_UNAUTHENTICATED: ErrorKind

class ConsumerRequest(_message.Message):
    __slots__ = ("hello", "credit", "commit", "seek", "pause", "resume", "heartbeat", "offsets", "leave")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    SEEK_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    LEAVE_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    credit: Credit
    commit: Commit
    seek: Seek
    pause: Pause
    resume: Resume
    heartbeat: Heartbeat
    offsets: OffsetsRequest
    leave: Leave
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., credit: _Optional[_Union[Credit, _Mapping]] = ..., commit: _Optional[_Union[Commit, _Mapping]] = ..., seek: _Optional[_Union[Seek, _Mapping]] = ..., pause: _Optional[_Union[Pause, _Mapping]] = ..., resume: _Optional[_Union[Resume, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., offsets: _Optional[_Union[OffsetsRequest, _Mapping]] = ..., leave: _Optional[_Union[Leave, _Mapping]] = ...) -> None: ...

class ConsumerReply(_message.Message):
    __slots__ = ("welcome", "assignment", "batch", "commit_ack", "seek_ack", "offsets", "heartbeat_ack", "end", "failed")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENT_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    COMMIT_ACK_FIELD_NUMBER: _ClassVar[int]
    SEEK_ACK_FIELD_NUMBER: _ClassVar[int]
    OFFSETS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_ACK_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    assignment: Assignment
    batch: Batch
    commit_ack: CommitAck
    seek_ack: SeekAck
    offsets: OffsetsReply
    heartbeat_ack: HeartbeatAck
    end: End
    failed: Failed
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., assignment: _Optional[_Union[Assignment, _Mapping]] = ..., batch: _Optional[_Union[Batch, _Mapping]] = ..., commit_ack: _Optional[_Union[CommitAck, _Mapping]] = ..., seek_ack: _Optional[_Union[SeekAck, _Mapping]] = ..., offsets: _Optional[_Union[OffsetsReply, _Mapping]] = ..., heartbeat_ack: _Optional[_Union[HeartbeatAck, _Mapping]] = ..., end: _Optional[_Union[End, _Mapping]] = ..., failed: _Optional[_Union[Failed, _Mapping]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("version", "namespace", "group_id", "client_id", "member_id", "topic", "topics", "auto_offset_reset", "session_timeout_ms", "max_poll_interval_ms", "min_poll_rows", "max_poll_rows", "mode", "replay", "credit_bytes", "max_message_bytes", "row_offsets", "compression")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    GROUP_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBER_ID_FIELD_NUMBER: _ClassVar[int]
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    TOPICS_FIELD_NUMBER: _ClassVar[int]
    AUTO_OFFSET_RESET_FIELD_NUMBER: _ClassVar[int]
    SESSION_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_POLL_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    MIN_POLL_ROWS_FIELD_NUMBER: _ClassVar[int]
    MAX_POLL_ROWS_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FIELD_NUMBER: _ClassVar[int]
    CREDIT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_MESSAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    ROW_OFFSETS_FIELD_NUMBER: _ClassVar[int]
    COMPRESSION_FIELD_NUMBER: _ClassVar[int]
    version: int
    namespace: str
    group_id: str
    client_id: str
    member_id: str
    topic: str
    topics: _containers.RepeatedScalarFieldContainer[str]
    auto_offset_reset: AutoOffsetReset
    session_timeout_ms: int
    max_poll_interval_ms: int
    min_poll_rows: int
    max_poll_rows: int
    mode: GroupMode
    replay: bool
    credit_bytes: int
    max_message_bytes: int
    row_offsets: bool
    compression: Compression
    def __init__(self, version: _Optional[int] = ..., namespace: _Optional[str] = ..., group_id: _Optional[str] = ..., client_id: _Optional[str] = ..., member_id: _Optional[str] = ..., topic: _Optional[str] = ..., topics: _Optional[_Iterable[str]] = ..., auto_offset_reset: _Optional[_Union[AutoOffsetReset, str]] = ..., session_timeout_ms: _Optional[int] = ..., max_poll_interval_ms: _Optional[int] = ..., min_poll_rows: _Optional[int] = ..., max_poll_rows: _Optional[int] = ..., mode: _Optional[_Union[GroupMode, str]] = ..., replay: bool = ..., credit_bytes: _Optional[int] = ..., max_message_bytes: _Optional[int] = ..., row_offsets: bool = ..., compression: _Optional[_Union[Compression, str]] = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ("bytes",)
    BYTES_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    def __init__(self, bytes: _Optional[int] = ...) -> None: ...

class Commit(_message.Message):
    __slots__ = ("request_id", "entries", "generation")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    entries: _containers.RepeatedCompositeFieldContainer[PartitionOffset]
    generation: int
    def __init__(self, request_id: _Optional[int] = ..., entries: _Optional[_Iterable[_Union[PartitionOffset, _Mapping]]] = ..., generation: _Optional[int] = ...) -> None: ...

class PartitionOffset(_message.Message):
    __slots__ = ("partition", "next_offset")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    NEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    partition: int
    next_offset: int
    def __init__(self, partition: _Optional[int] = ..., next_offset: _Optional[int] = ...) -> None: ...

class Seek(_message.Message):
    __slots__ = ("request_id", "partition", "offset", "start", "end", "append_time_us")
    class Head(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Tail(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    APPEND_TIME_US_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    partition: int
    offset: int
    start: Seek.Head
    end: Seek.Tail
    append_time_us: int
    def __init__(self, request_id: _Optional[int] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., start: _Optional[_Union[Seek.Head, _Mapping]] = ..., end: _Optional[_Union[Seek.Tail, _Mapping]] = ..., append_time_us: _Optional[int] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ("partitions",)
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, partitions: _Optional[_Iterable[int]] = ...) -> None: ...

class Resume(_message.Message):
    __slots__ = ("partitions",)
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, partitions: _Optional[_Iterable[int]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("request_id", "polled")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    POLLED_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    polled: bool
    def __init__(self, request_id: _Optional[int] = ..., polled: bool = ...) -> None: ...

class OffsetsRequest(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    def __init__(self, request_id: _Optional[int] = ...) -> None: ...

class Leave(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("version", "member_id", "generation", "schema", "session_timeout_ms", "max_poll_interval_ms", "heartbeat_interval_ms")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MEMBER_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    SESSION_TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    MAX_POLL_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    version: int
    member_id: str
    generation: int
    schema: bytes
    session_timeout_ms: int
    max_poll_interval_ms: int
    heartbeat_interval_ms: int
    def __init__(self, version: _Optional[int] = ..., member_id: _Optional[str] = ..., generation: _Optional[int] = ..., schema: _Optional[bytes] = ..., session_timeout_ms: _Optional[int] = ..., max_poll_interval_ms: _Optional[int] = ..., heartbeat_interval_ms: _Optional[int] = ...) -> None: ...

class Assignment(_message.Message):
    __slots__ = ("generation", "partitions")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    generation: int
    partitions: _containers.RepeatedCompositeFieldContainer[PartitionState]
    def __init__(self, generation: _Optional[int] = ..., partitions: _Optional[_Iterable[_Union[PartitionState, _Mapping]]] = ...) -> None: ...

class PartitionState(_message.Message):
    __slots__ = ("partition", "start", "end", "committed", "position", "since_generation")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SINCE_GENERATION_FIELD_NUMBER: _ClassVar[int]
    partition: int
    start: int
    end: int
    committed: int
    position: int
    since_generation: int
    def __init__(self, partition: _Optional[int] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., committed: _Optional[int] = ..., position: _Optional[int] = ..., since_generation: _Optional[int] = ...) -> None: ...

class Batch(_message.Message):
    __slots__ = ("partition", "first_offset", "next_offset", "generation", "bytes", "offset_deltas", "padding")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    FIRST_OFFSET_FIELD_NUMBER: _ClassVar[int]
    NEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    OFFSET_DELTAS_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    partition: int
    first_offset: int
    next_offset: int
    generation: int
    bytes: int
    offset_deltas: _containers.RepeatedScalarFieldContainer[int]
    padding: bytes
    def __init__(self, partition: _Optional[int] = ..., first_offset: _Optional[int] = ..., next_offset: _Optional[int] = ..., generation: _Optional[int] = ..., bytes: _Optional[int] = ..., offset_deltas: _Optional[_Iterable[int]] = ..., padding: _Optional[bytes] = ...) -> None: ...

class Failed(_message.Message):
    __slots__ = ("partition", "offset", "error")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    partition: int
    offset: int
    error: Error
    def __init__(self, partition: _Optional[int] = ..., offset: _Optional[int] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class CommitAck(_message.Message):
    __slots__ = ("request_id", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    error: Error
    def __init__(self, request_id: _Optional[int] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class SeekAck(_message.Message):
    __slots__ = ("request_id", "partition", "offset", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    partition: int
    offset: int
    error: Error
    def __init__(self, request_id: _Optional[int] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class OffsetsReply(_message.Message):
    __slots__ = ("request_id", "partitions", "error")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    partitions: _containers.RepeatedCompositeFieldContainer[PartitionState]
    error: Error
    def __init__(self, request_id: _Optional[int] = ..., partitions: _Optional[_Iterable[_Union[PartitionState, _Mapping]]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class HeartbeatAck(_message.Message):
    __slots__ = ("request_id", "generation")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    request_id: int
    generation: int
    def __init__(self, request_id: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class End(_message.Message):
    __slots__ = ("reason", "error")
    REASON_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    reason: EndReason
    error: Error
    def __init__(self, reason: _Optional[_Union[EndReason, str]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class Append(_message.Message):
    __slots__ = ("producer_id", "epoch", "sequence", "partition", "padding")
    PRODUCER_ID_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    PADDING_FIELD_NUMBER: _ClassVar[int]
    producer_id: bytes
    epoch: int
    sequence: int
    partition: int
    padding: bytes
    def __init__(self, producer_id: _Optional[bytes] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., partition: _Optional[int] = ..., padding: _Optional[bytes] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("sequence", "appended", "duplicate", "durability", "error")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    APPENDED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    appended: _containers.RepeatedCompositeFieldContainer[Appended]
    duplicate: bool
    durability: Durability
    error: Error
    def __init__(self, sequence: _Optional[int] = ..., appended: _Optional[_Iterable[_Union[Appended, _Mapping]]] = ..., duplicate: bool = ..., durability: _Optional[_Union[Durability, str]] = ..., error: _Optional[_Union[Error, _Mapping]] = ...) -> None: ...

class Appended(_message.Message):
    __slots__ = ("partition", "first_offset", "rows")
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    FIRST_OFFSET_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    partition: int
    first_offset: int
    rows: int
    def __init__(self, partition: _Optional[int] = ..., first_offset: _Optional[int] = ..., rows: _Optional[int] = ...) -> None: ...

class StatementDone(_message.Message):
    __slots__ = ("rows", "message")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    rows: int
    message: str
    def __init__(self, rows: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class CreatePlugin(_message.Message):
    __slots__ = ("statement",)
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    statement: str
    def __init__(self, statement: _Optional[str] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("kind", "message")
    KIND_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    kind: ErrorKind
    message: str
    def __init__(self, kind: _Optional[_Union[ErrorKind, str]] = ..., message: _Optional[str] = ...) -> None: ...
