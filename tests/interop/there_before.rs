//! A service that was there before us: its `.proto` is given, its messages are prost's, and a trait of ours speaks it.

use blixard_rpc::{
    Channel, Result, Status, Streaming, iroh_service,
    transport::grpc::{GrpcConnector, GrpcServer},
};
use blixard_tests::net::soon;
use tokio_stream::StreamExt;
use tonic::{Request, Response};

use crate::host;

#[allow(
    clippy::all,
    clippy::use_self,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    reason = "it is generated"
)]
mod pb {
    tonic::include_proto!("library.v1");
}

use pb::{Book, Query, book::Place};

/// The service of `library.proto`, over prost's messages as they are.
#[iroh_service(package = "library.v1")]
trait Library {
    async fn find(&self, query: Query) -> Result<Book>;
    async fn shelf(&self, query: Query) -> Result<Streaming<Book>>;
}

fn book(title: &str) -> Book {
    Book {
        title: title.to_owned(),
        authors: vec!["Ada".to_owned(), String::new()],
        place: Some(Place::Reader("Grace".to_owned())),
    }
}

struct Ours;

impl Library for Ours {
    async fn find(&self, query: Query) -> Result<Book> {
        if query.title.is_empty() {
            return Err(Status::not_found("no such book"));
        }
        Ok(book(&query.title))
    }

    async fn shelf(&self, query: Query) -> Result<Streaming<Book>> {
        Ok(Streaming::from_iter([book(&query.title), Book::default()]))
    }
}

struct Theirs;

#[tonic::async_trait]
impl pb::library_server::Library for Theirs {
    type ShelfStream = tokio_stream::Iter<std::vec::IntoIter<Result<Book, tonic::Status>>>;

    async fn find(&self, request: Request<Query>) -> Result<Response<Book>, tonic::Status> {
        Ok(Response::new(book(&request.into_inner().title)))
    }

    async fn shelf(
        &self,
        request: Request<Query>,
    ) -> Result<Response<Self::ShelfStream>, tonic::Status> {
        let books = vec![Ok(book(&request.into_inner().title)), Ok(Book::default())];
        Ok(Response::new(tokio_stream::iter(books)))
    }
}

fn query(title: &str) -> Query {
    Query {
        title: title.to_owned(),
    }
}

#[tokio::test]
async fn a_stock_client_calls_it() {
    let router = blixard_rpc::Router::new().add(LibraryServer::new(Ours));
    let server = GrpcServer::new(router).bind("127.0.0.1:0").await.unwrap();
    let channel = host::channel(server.local_addr().unwrap()).await;
    let mut client = pb::library_client::LibraryClient::new(channel);
    let found = soon(client.find(query("SICP"))).await.unwrap();
    assert_eq!(found.into_inner(), book("SICP"));
    let status = soon(client.find(query(""))).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
    let books = soon(client.shelf(query("SICP")))
        .await
        .unwrap()
        .into_inner();
    let books: Vec<_> = soon(books.collect::<Result<_, _>>()).await.unwrap();
    assert_eq!(books, [book("SICP"), Book::default()]);
}

#[tokio::test]
async fn it_calls_a_stock_server() {
    let address = host::tonics(pb::library_server::LibraryServer::new(Theirs)).await;
    let dialled = GrpcConnector::new().dial(&address.into()).await.unwrap();
    let client = LibraryClient::new(Channel::new(dialled));
    let found = soon(async { client.find(query("SICP")).await });
    assert_eq!(found.await.unwrap(), book("SICP"));
    let books = soon(async { client.shelf(query("SICP")).await?.collect().await });
    assert_eq!(books.await.unwrap(), [book("SICP"), Book::default()]);
}
