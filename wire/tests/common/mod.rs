//! Strategies for every record, shared by the tests of the decoders.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::borrow::Cow;

use menagerie_wire::client::*;
use menagerie_wire::data::{Acl, Id, Stat, StatPersisted};
use menagerie_wire::quorum::{LearnerInfo, QuorumPacket};
use menagerie_wire::txn::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub fn int() -> impl Strategy<Value = i32> {
    prop_oneof![
        any::<i32>(),
        Just(0),
        Just(-1),
        Just(i32::MIN),
        Just(i32::MAX)
    ]
}

pub fn long() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        Just(0),
        Just(-1),
        Just(i64::MIN),
        Just(i64::MAX)
    ]
}

/// Text that survives Java's encoding: nothing outside the basic plane.
pub fn some_text() -> impl Strategy<Value = Cow<'static, str>> {
    let c = any::<char>().prop_map(|c| if (c as u32) < 0x1_0000 { c } else { 'ß' });
    prop_oneof![
        vec(c, 0..12).prop_map(|chars| Cow::Owned(chars.into_iter().collect())),
        Just(Cow::Borrowed("")),
        Just(Cow::Borrowed("/zookeeper/config")),
        Just(Cow::Borrowed("\u{0}\u{FFFF}")),
    ]
}

pub fn text() -> impl Strategy<Value = Option<Cow<'static, str>>> {
    option::of(some_text())
}

pub fn texts() -> impl Strategy<Value = Option<Vec<Cow<'static, str>>>> {
    option::of(vec(some_text(), 0..5))
}

/// Leaked, so that records can borrow it; a test's worth is small.
pub fn leaked() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..24).prop_map(|bytes| &*bytes.leak())
}

pub fn bytes() -> impl Strategy<Value = Option<&'static [u8]>> {
    prop_oneof![leaked().prop_map(Some), Just(None), Just(Some(&b""[..]))]
}

pub fn id() -> impl Strategy<Value = Id<'static>> {
    (text(), text()).prop_map(|(scheme, id)| Id { scheme, id })
}

pub fn acls() -> impl Strategy<Value = Option<Vec<Acl<'static>>>> {
    option::of(vec(
        (int(), id()).prop_map(|(perms, id)| Acl { perms, id }),
        0..4,
    ))
}

/// Calls a macro with every plain record: name, type, constructor and fields' strategies.
macro_rules! every_record {
    ($then:ident) => {
        $then! {
            connect_request_base: ConnectRequestBase<'static> = ConnectRequestBase {
                protocol_version: int(), last_zxid_seen: long(), time_out: int(),
                session_id: long(), passwd: bytes()
            };
            connect_response: ConnectResponse<'static> = ConnectResponse {
                protocol_version: int(), time_out: int(), session_id: long(), passwd: bytes()
            };
            request_header: RequestHeader = RequestHeader { xid: int(), op: int() };
            reply_header: ReplyHeader = ReplyHeader { xid: int(), zxid: long(), err: int() };
            path_request: PathRequest<'static> = PathRequest { path: text() };
            create_request: CreateRequest<'static> = CreateRequest {
                path: text(), data: bytes(), acl: acls(), flags: int()
            };
            create_ttl_request: CreateTtlRequest<'static> = CreateTtlRequest {
                path: text(), data: bytes(), acl: acls(), flags: int(), ttl: long()
            };
            path_version_request: PathVersionRequest<'static> = PathVersionRequest {
                path: text(), version: int()
            };
            path_watch_request: PathWatchRequest<'static> = PathWatchRequest {
                path: text(), watch: any::<bool>()
            };
            set_data_request: SetDataRequest<'static> = SetDataRequest {
                path: text(), data: bytes(), version: int()
            };
            set_acl_request: SetAclRequest<'static> = SetAclRequest {
                path: text(), acl: acls(), version: int()
            };
            reconfig_request: ReconfigRequest<'static> = ReconfigRequest {
                joining_servers: text(), leaving_servers: text(), new_members: text(),
                cur_config_id: long()
            };
            path_type_request: PathTypeRequest<'static> = PathTypeRequest {
                path: text(), kind: int()
            };
            add_watch_request: AddWatchRequest<'static> = AddWatchRequest {
                path: text(), mode: int()
            };
            auth_packet: AuthPacket<'static> = AuthPacket {
                kind: int(), scheme: text(), auth: bytes()
            };
            set_watches: SetWatches<'static> = SetWatches {
                relative_zxid: long(), data: texts(), exist: texts(), child: texts()
            };
            set_watches2: SetWatches2<'static> = SetWatches2 {
                relative_zxid: long(), data: texts(), exist: texts(), child: texts(),
                persistent: texts(), persistent_recursive: texts()
            };
            sasl_token: SaslToken<'static> = SaslToken { token: bytes() };
            path_response: PathResponse<'static> = PathResponse { path: text() };
            create2_response: Create2Response<'static> = Create2Response {
                path: text(), stat: stat::strategy()
            };
            stat_response: StatResponse = StatResponse { stat: stat::strategy() };
            get_data_response: GetDataResponse<'static> = GetDataResponse {
                data: bytes(), stat: stat::strategy()
            };
            get_acl_response: GetAclResponse<'static> = GetAclResponse {
                acl: acls(), stat: stat::strategy()
            };
            get_children_response: GetChildrenResponse<'static> = GetChildrenResponse {
                children: texts()
            };
            get_children2_response: GetChildren2Response<'static> = GetChildren2Response {
                children: texts(), stat: stat::strategy()
            };
            get_ephemerals_response: GetEphemeralsResponse<'static> = GetEphemeralsResponse {
                ephemerals: texts()
            };
            get_all_children_number_response: GetAllChildrenNumberResponse =
                GetAllChildrenNumberResponse { total_number: int() };
            error_response: ErrorResponse = ErrorResponse { err: int() };
            client_info: ClientInfo<'static> = ClientInfo { auth_scheme: text(), user: text() };
            who_am_i_response: WhoAmIResponse<'static> = WhoAmIResponse {
                client_info: option::of(vec(client_info::strategy(), 0..4))
            };
            watcher_event: WatcherEvent<'static> = WatcherEvent {
                kind: int(), state: int(), path: text()
            };
            multi_header: MultiHeader = MultiHeader { op: int(), done: any::<bool>(), err: int() };
            id_record: Id<'static> = Id { scheme: text(), id: text() };
            acl: Acl<'static> = Acl { perms: int(), id: id() };
            stat: Stat = Stat {
                czxid: long(), mzxid: long(), ctime: long(), mtime: long(), version: int(),
                cversion: int(), aversion: int(), ephemeral_owner: long(), data_length: int(),
                num_children: int(), pzxid: long()
            };
            stat_persisted: StatPersisted = StatPersisted {
                czxid: long(), mzxid: long(), ctime: long(), mtime: long(), version: int(),
                cversion: int(), aversion: int(), ephemeral_owner: long(), pzxid: long()
            };
            file_header: FileHeader = FileHeader { magic: int(), version: int(), dbid: long() };
            txn_header: TxnHeader = TxnHeader {
                client_id: long(), cxid: int(), zxid: long(), time: long(), op: int()
            };
            txn_digest: TxnDigest = TxnDigest { version: int(), tree_digest: long() };
            create_txn: CreateTxn<'static> = CreateTxn {
                path: text(), data: bytes(), acl: acls(), ephemeral: any::<bool>(),
                parent_c_version: int()
            };
            create_txn_v0: CreateTxnV0<'static> = CreateTxnV0 {
                path: text(), data: bytes(), acl: acls(), ephemeral: any::<bool>()
            };
            create_ttl_txn: CreateTtlTxn<'static> = CreateTtlTxn {
                path: text(), data: bytes(), acl: acls(), parent_c_version: int(), ttl: long()
            };
            create_container_txn: CreateContainerTxn<'static> = CreateContainerTxn {
                path: text(), data: bytes(), acl: acls(), parent_c_version: int()
            };
            delete_txn: DeleteTxn<'static> = DeleteTxn { path: text() };
            set_data_txn: SetDataTxn<'static> = SetDataTxn {
                path: text(), data: bytes(), version: int()
            };
            set_acl_txn: SetAclTxn<'static> = SetAclTxn {
                path: text(), acl: acls(), version: int()
            };
            check_version_txn: CheckVersionTxn<'static> = CheckVersionTxn {
                path: text(), version: int()
            };
            create_session_txn: CreateSessionTxn = CreateSessionTxn { time_out: int() };
            close_session_txn: CloseSessionTxn<'static> = CloseSessionTxn {
                paths_to_delete: texts()
            };
            error_txn: ErrorTxn = ErrorTxn { err: int() };
            sub_txn: SubTxn<'static> = SubTxn { op: int(), data: bytes() };
            multi_txn: MultiTxn<'static> = MultiTxn {
                txns: option::of(vec(sub_txn::strategy(), 0..4))
            };
            quorum_packet: QuorumPacket<'static> = QuorumPacket {
                kind: int(), zxid: long(), data: bytes(), auth_info: option::of(vec(id(), 0..4))
            };
            learner_info: LearnerInfo = LearnerInfo {
                server_id: long(), protocol_version: int(), config_version: long()
            };
        }
    };
}
pub(crate) use every_record;

macro_rules! strategies {
    ($($case:ident: $ty:ty = $name:ident { $($field:ident: $strategy:expr),* };)*) => {$(
        pub mod $case {
            use super::*;

            pub fn strategy() -> impl Strategy<Value = $ty> {
                ($($strategy,)*).prop_map(|($($field,)*)| $name { $($field),* })
            }
        }
    )*};
}
every_record!(strategies);
