//! The one table of messages: number, direction, minimum version, feature and sizes of each, from which the decoder and the encoder are
//! made.

use super::channel::{
    CloseChannel, CloseReservedChannel, CloseReservedResponse, ModifyChannel, ModifyChannelResponse,
    OpenChannel, OpenReservedChannel, OpenResult, RelIdReleased,
};
use super::contact::{InitiateContact, ModifyConnection, ModifyConnectionResponse, VersionResponse};
use super::gpadl::{GpadlBody, GpadlCreated, GpadlHeader, GpadlTeardown, GpadlTorndown};
use super::message::messages;
use super::offer::{OfferChannel, RescindChannelOffer};
use super::socket::{TlConnectRequest, TlConnectResult};

messages! {
    /// A channel message that a host sends.
    ///
    /// Its `Display` is one line for a trace: the message's name, then its fields.
    pub enum HostMessage {
        /// The host offers a channel.
        1 OFFER_CHANNEL OfferChannel(offer: OfferChannel) since V1 sizes [190, 196];
        /// The host takes an offer back.
        2 RESCIND_CHANNEL_OFFER RescindChannelOffer(rescind: RescindChannelOffer) since V1 sizes [12];
        /// Every offer that stood when the guest asked has been sent.
        4 ALL_OFFERS_DELIVERED AllOffersDelivered since V1 sizes [8];
        /// Answers OPEN_CHANNEL.
        6 OPEN_CHANNEL_RESULT OpenChannelResult(result: OpenResult) since V1 sizes [20];
        /// Answers a whole GPADL.
        10 GPADL_CREATED GpadlCreated(created: GpadlCreated) since V1 sizes [20];
        /// Answers GPADL_TEARDOWN.
        12 GPADL_TORNDOWN GpadlTorndown(torndown: GpadlTorndown) since V1 sizes [12];
        /// Answers INITIATE_CONTACT.
        15 VERSION_RESPONSE VersionResponse(response: VersionResponse) since V1 sizes [9, 10, 16, 20, 40];
        /// Answers UNLOAD.
        17 UNLOAD_RESPONSE UnloadResponse since WIN7 sizes [8];
        /// Answers CLOSE_RESERVED_CHANNEL.
        20 CLOSE_RESERVED_RESPONSE CloseReservedResponse(response: CloseReservedResponse) since WIN10 sizes [12];
        /// Tells that an hvsock connection was refused.
        23 TL_CONNECT_RESULT TlConnectResult(result: TlConnectResult) since WIN10_RS3_0 sizes [44];
        /// Answers MODIFY_CHANNEL.
        24 MODIFY_CHANNEL_RESPONSE ModifyChannelResponse(response: ModifyChannelResponse) since IRON sizes [16];
        /// Answers MODIFY_CONNECTION.
        26 MODIFY_CONNECTION_RESPONSE ModifyConnectionResponse(response: ModifyConnectionResponse)
            since COPPER with MODIFY_CONNECTION sizes [9];
        /// Answers PAUSE; nothing comes after it until RESUME.
        28 PAUSE_RESPONSE PauseResponse since COPPER with PAUSE_RESUME sizes [8];
    }

    /// A channel message that a guest sends.
    ///
    /// Its `Display` is one line for a trace: the message's name, then its fields.
    pub enum GuestMessage<'a> {
        /// The guest asks for the offers.
        3 REQUEST_OFFERS RequestOffers since V1 sizes [8];
        /// The guest opens an offered channel.
        5 OPEN_CHANNEL OpenChannel(open: OpenChannel) since V1 sizes [148, 156];
        /// The guest closes an open channel. There is no answer.
        7 CLOSE_CHANNEL CloseChannel(close: CloseChannel) since V1 sizes [12];
        /// The guest lends memory: the first message of a GPADL.
        8 GPADL_HEADER GpadlHeader(header: GpadlHeader<'a>) since V1 sizes [20 .. 236; 8];
        /// More PFNs of a GPADL.
        9 GPADL_BODY GpadlBody(body: GpadlBody<'a>) since V1 sizes [16 .. 240; 8];
        /// The guest wants memory back.
        11 GPADL_TEARDOWN GpadlTeardown(teardown: GpadlTeardown) since V1 sizes [16];
        /// The guest has let go of a channel and of its relid.
        13 RELID_RELEASED RelIdReleased(released: RelIdReleased) since V1 sizes [12];
        /// The guest asks for a version. The version that it asks for decides what stands in it, so there is no minimum.
        14 INITIATE_CONTACT InitiateContact(contact: InitiateContact) since V1 sizes [40, 56];
        /// The guest takes leave. (The firmware's header has it from 0.13 on, but the answer from 1.1 on.)
        16 UNLOAD Unload since WIN7 sizes [8];
        /// The guest opens a channel that stays open over an UNLOAD, for a crash dump. There is no answer.
        18 OPEN_RESERVED_CHANNEL OpenReservedChannel(open: OpenReservedChannel) since WIN10 sizes [28];
        /// The guest closes a reserved channel, maybe one of the guest before it.
        19 CLOSE_RESERVED_CHANNEL CloseReservedChannel(close: CloseReservedChannel) since WIN10 sizes [20];
        /// The guest connects to an hvsock service of the host. A channel is offered if the service takes it.
        21 TL_CONNECT_REQUEST TlConnectRequest(request: TlConnectRequest) since WIN10 sizes [40, 56];
        /// The guest moves a channel's interrupts to another VP.
        22 MODIFY_CHANNEL ModifyChannel(modify: ModifyChannel) since WIN10_RS3_0 sizes [16];
        /// The guest changes the monitor pages.
        25 MODIFY_CONNECTION ModifyConnection(modify: ModifyConnection) since COPPER with MODIFY_CONNECTION sizes [24];
        /// The guest wants no more messages for now.
        27 PAUSE Pause since COPPER with PAUSE_RESUME sizes [8];
        /// The guest takes messages again.
        29 RESUME Resume since COPPER with PAUSE_RESUME sizes [8];
    }
}
