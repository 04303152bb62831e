//! The stock side: what tonic generates, a server of it, and our items as its items.

use std::pin::Pin;

use prost::Message as _;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::service::{Item, failure};

#[allow(
    clippy::all,
    clippy::use_self,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    reason = "it is generated"
)]
pub(crate) mod pb {
    tonic::include_proto!("interop.v1");
}

use pb::{
    DepotBrowseRequest, DepotNoteResponse, DepotSpellRequest, DepotSpellResponse, Receipt,
    depot_server::Depot,
};

/// Our item as the stock side has it, by its bytes.
pub(crate) fn theirs(item: &Item) -> pb::Item {
    let mut bytes = bytes::BytesMut::new();
    blixard_rpc::Message::encode(item, blixard_rpc::codec::Codec::Protobuf, &mut bytes).unwrap();
    pb::Item::decode(bytes).unwrap()
}

/// And back.
pub(crate) fn ours(item: &pb::Item) -> Item {
    let bytes = item.encode_to_vec().into();
    blixard_rpc::Message::decode(blixard_rpc::codec::Codec::Protobuf, bytes).unwrap()
}

/// The error of an item named "fail", as the stock side makes it.
pub(crate) fn their_failure() -> Status {
    let status = failure();
    let mut metadata = tonic::metadata::MetadataMap::new();
    metadata.insert("why", "weight".parse().unwrap());
    let bytes = tonic::metadata::MetadataValue::from_bytes(&[1, 2]);
    metadata.insert_bin("why-bin", bytes);
    Status::with_details_and_metadata(
        Code::FailedPrecondition,
        status.message(),
        rpc_status_bytes(),
        metadata,
    )
}

/// `google.rpc.Status` with the detail of [`failure`], by hand: code 9, the message, one `Any`.
pub(crate) fn rpc_status_bytes() -> bytes::Bytes {
    let status = failure();
    let detail = &status.details()[0];
    let any = prost_types::Any {
        type_url: detail.type_url.clone(),
        value: detail.value.to_vec(),
    };
    let mut bytes = Vec::new();
    prost::encoding::int32::encode(1, &9, &mut bytes);
    prost::encoding::string::encode(2, &status.message().to_owned(), &mut bytes);
    prost::encoding::message::encode(3, &any, &mut bytes);
    bytes.into()
}

/// What the trait of ours does, on the stock side.
#[derive(Debug, Default)]
pub(crate) struct StockKeeper;

type Items = Pin<Box<dyn Stream<Item = Result<pb::Item, Status>> + Send>>;

#[tonic::async_trait]
impl Depot for StockKeeper {
    type BrowseStream = Items;
    type TradeStream = Items;

    async fn keep(&self, request: Request<pb::Item>) -> Result<Response<pb::Item>, Status> {
        let sent = request.metadata().clone();
        let item = request.into_inner();
        match &*item.name {
            "fail" => return Err(their_failure()),
            "wait" => std::future::pending().await,
            _ => {}
        }
        let mut response = Response::new(item);
        for (key, value) in [("text", "head"), ("grpc-timeout", "timeout")] {
            if let Some(sent) = sent.get(key) {
                response.metadata_mut().insert(value, sent.clone());
            }
        }
        if let Some(data) = sent.get_bin("data-bin") {
            response.metadata_mut().insert_bin("data-bin", data.clone());
        }
        Ok(response)
    }

    async fn browse(
        &self,
        request: Request<DepotBrowseRequest>,
    ) -> Result<Response<Items>, Status> {
        let DepotBrowseRequest { name, count } = request.into_inner();
        let items = (0..count).map(move |count| {
            Ok(pb::Item {
                name: name.clone(),
                count,
                ..pb::Item::default()
            })
        });
        Ok(Response::new(Box::pin(tokio_stream::iter(items))))
    }

    async fn load(
        &self,
        request: Request<Streaming<pb::Item>>,
    ) -> Result<Response<Receipt>, Status> {
        let mut receipt = Receipt::default();
        let mut items = request.into_inner();
        while let Some(item) = items.next().await {
            receipt.items += 1;
            receipt.names.push(item?.name);
        }
        Ok(Response::new(receipt))
    }

    async fn trade(
        &self,
        request: Request<Streaming<pb::Item>>,
    ) -> Result<Response<Items>, Status> {
        let items = request.into_inner().map(|item| match item {
            Ok(item) if item.name == "fail" => Err(their_failure()),
            item => item,
        });
        Ok(Response::new(Box::pin(items)))
    }

    async fn note(&self, _: Request<pb::Item>) -> Result<Response<DepotNoteResponse>, Status> {
        Ok(Response::new(DepotNoteResponse {}))
    }

    async fn spell(
        &self,
        request: Request<DepotSpellRequest>,
    ) -> Result<Response<DepotSpellResponse>, Status> {
        let value = format!("number {}", request.into_inner().number);
        Ok(Response::new(DepotSpellResponse { value }))
    }
}
