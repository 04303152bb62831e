//! None, one or many arguments; tags, doc comments, names that begin with `_`, raw names.
#![deny(warnings)]

use std::{collections::HashMap, time::Duration};

use blixard_rpc::{Result, iroh_service, message};

#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    x: i32,
    y: i32,
}

#[iroh_service]
pub trait Arguments {
    async fn none(&self) -> Result<String>;
    async fn message(&self, point: Point) -> Result<Point>;
    async fn scalar(&self, number: u64) -> Result<u64>;
    async fn field(&self, #[tag(3)] after: Duration) -> Result<u64>;
    async fn many(
        &self,
        /// Where.
        #[tag(2)]
        point: Point,
        times: Option<u32>,
        #[tag(9)] names: Vec<String>,
        by_name: HashMap<String, Point>,
    ) -> Result<String>;
    async fn unused(&self, _left: u32, _right: u32) -> Result<u32> {
        Ok(5)
    }
    async fn r#match(&self, r#type: String, target: u32, call: u32, cx: u32) -> Result<String>;
    async fn clone(&self) -> Result<u32>;
}

struct Real;

impl Arguments for Real {
    async fn none(&self) -> Result<String> {
        Ok("none".into())
    }
    async fn message(&self, point: Point) -> Result<Point> {
        Ok(Point {
            x: point.y,
            y: point.x,
        })
    }
    async fn scalar(&self, number: u64) -> Result<u64> {
        Ok(number + 1)
    }
    async fn field(&self, after: Duration) -> Result<u64> {
        Ok(after.as_secs())
    }
    async fn many(
        &self,
        point: Point,
        times: Option<u32>,
        names: Vec<String>,
        by_name: HashMap<String, Point>,
    ) -> Result<String> {
        Ok(format!("{point:?} {times:?} {names:?} {}", by_name.len()))
    }
    async fn r#match(&self, r#type: String, target: u32, call: u32, cx: u32) -> Result<String> {
        Ok(format!("{} {target} {call} {cx}", r#type))
    }
    async fn clone(&self) -> Result<u32> {
        Ok(8)
    }
}

fn main() {
    blixard_rpc::block_on(async {
        let client = ArgumentsClient::new(ArgumentsServer::new(Real));
        let point = Point { x: 1, y: -2 };
        assert_eq!(client.none().await.unwrap(), "none");
        assert_eq!(
            client.message(point.clone()).await.unwrap(),
            Point { x: -2, y: 1 }
        );
        assert_eq!(client.scalar(1).await.unwrap(), 2);
        assert_eq!(client.field(Duration::from_secs(9)).await.unwrap(), 9);
        let by_name = HashMap::from([("a".to_owned(), point.clone())]);
        let many = client.many(point.clone(), Some(3), vec!["n".into()], by_name);
        assert_eq!(
            many.await.unwrap(),
            "Point { x: 1, y: -2 } Some(3) [\"n\"] 1"
        );
        assert_eq!(client.unused(1, 2).await.unwrap(), 5);
        assert_eq!(
            client.r#match("t".into(), 1, 2, 3).await.unwrap(),
            "t 1 2 3"
        );
        assert_eq!(Arguments::clone(&client).await.unwrap(), 8);
    });
    // The request is a message like any other.
    let _ = ArgumentsManyRequest {
        point: Point { x: 0, y: 0 },
        times: None,
        names: Vec::new(),
        by_name: HashMap::new(),
    };
    let _ = ArgumentsUnusedRequest { left: 1, right: 2 };
    let _ = ArgumentsMatchRequest {
        r#type: String::new(),
        target: 0,
        call: 0,
        cx: 0,
    };
}
