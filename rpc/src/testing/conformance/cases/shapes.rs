//! The four shapes of calls and the one-way call, with no, one and many messages.

use bytes::Bytes;

use super::super::{
    bed::Bed,
    item::{item, number},
    plan::{Act, Plan},
    probe::soon,
    service::{Conformance, Parcel, Total},
};
use crate::Streaming;

pub(super) async fn unary_gives_back_what_it_was_given(bed: &Bed) {
    let cx = bed.cx.clone();
    for size in [8, 9, 100, 1000] {
        let data = item(size as u64, size);
        assert_eq!(bed.client.call(&cx, data.clone()).await.unwrap(), data);
        assert_eq!(bed.client.echo(data.clone()).await.unwrap(), data);
    }
}

pub(super) async fn unary_with_no_argument(bed: &Bed) {
    bed.client.nothing().await.unwrap();
}

pub(super) async fn unary_with_several_arguments(bed: &Bed) {
    let parcel = bed
        .client
        .several(
            u64::MAX,
            "Grüße, 世界".to_owned(),
            Some(-0.5),
            Bytes::from_static(&[0, 255]),
            vec![String::new(), "part".to_owned()],
        )
        .await
        .unwrap();
    let expected = Parcel {
        number: u64::MAX,
        label: "Grüße, 世界".to_owned(),
        weight: Some(-0.5),
        data: Bytes::from_static(&[0, 255]),
        parts: vec![String::new(), "part".to_owned()],
        inner: Some(Box::default()),
    };
    assert_eq!(parcel, expected);
}

pub(super) async fn server_streaming_of_none_one_and_many(bed: &Bed) {
    for count in [0, 1, 2, 1000] {
        let client = bed.plan(Plan::during([Act::Items(count, 20)]));
        let responses = client.give(&bed.cx, Bytes::new());
        let items = responses.await.unwrap().collect().await.unwrap();
        assert_eq!(items.len(), count);
        assert!(items.iter().map(number).eq(0..count as u64));
    }
}

pub(super) async fn client_streaming_of_none_one_and_many(bed: &Bed) {
    for count in [0, 1, 2, 1000] {
        let requests = Streaming::from_iter((0..count).map(|number| item(number, 20)));
        let total = bed.client.take(&bed.cx, requests).await;
        let expected = Total {
            items: count,
            bytes: 20 * count,
        };
        assert_eq!(total.unwrap(), expected);
    }
}

pub(super) async fn bidirectional_of_none_one_and_many(bed: &Bed) {
    for count in [0, 1, 2, 1000] {
        let requests = Streaming::from_iter((0..count).map(|number| item(number, 20)));
        let responses = bed.client.chat(&bed.cx, requests).await;
        let items = responses.unwrap().collect().await.unwrap();
        assert!(items.iter().map(number).eq(0..count));
    }
}

pub(super) async fn oneway_arrives(bed: &Bed) {
    let cx = bed.cx.clone();
    let sizes = [8, 1000, 200_000, 3_000_000];
    for size in sizes {
        bed.client.note(&cx, item(size as u64, size)).await;
    }
    bed.subject.noted.reaches(sizes.len()).await;
    let mut notes = bed.subject.notes();
    notes.sort_by_key(Bytes::len);
    for (note, size) in notes.iter().zip(sizes) {
        assert_eq!((note.len(), number(note)), (size, size as u64));
    }
}

pub(super) async fn oneway_waits_for_no_handler(bed: &Bed) {
    let cx = bed.cx.clone();
    let client = bed.plan(Plan::before([Act::Wait]));
    for size in [8, 200_000] {
        let note = client.note(&cx, item(1, size));
        soon("a one-way call whose handler waits", note).await;
    }
    bed.subject.started.reaches(2).await;
    assert_eq!(bed.subject.noted.get(), 0);
    bed.subject.release();
    bed.subject.noted.reaches(2).await;
    assert_eq!(
        bed.subject.dropped.get(),
        0,
        "nobody cancels a one-way call"
    );
}

pub(super) async fn empty_messages(bed: &Bed) {
    let cx = bed.cx.clone();
    assert_eq!(bed.client.echo(Bytes::new()).await.unwrap(), Bytes::new());
    let requests = || Streaming::from_iter((0..3).map(|_| Bytes::new()));
    let total = bed.client.take(&cx, requests()).await.unwrap();
    assert_eq!((total.items, total.bytes), (3, 0));
    let responses = bed.client.chat(&cx, requests()).await.unwrap();
    assert_eq!(
        responses.collect().await.unwrap(),
        [const { Bytes::new() }; 3]
    );
    // Not one byte, in either codec: only their number says that they were there.
    let units = Streaming::from_iter([(); 5]);
    let units = bed.client.nothings(units).await.unwrap();
    assert_eq!(units.collect().await.unwrap().len(), 5);
    bed.client.note(&cx, Bytes::new()).await;
    bed.subject.noted.reaches(1).await;
}

pub(super) async fn messages_of_every_size_class(bed: &Bed) {
    // Around the sizes at which transports change what they do: packets, buffers, frames, windows.
    let cx = bed.cx.clone();
    let around = [1 << 12, 1 << 14, 1 << 16];
    let sizes = around
        .into_iter()
        .flat_map(|size| [size - 100, size - 25, size - 5, size - 1, size, size + 1]);
    let sizes: Vec<usize> = (8..12)
        .chain(1190..1200)
        .chain(sizes)
        .chain([1 << 18, 1 << 20])
        .collect();
    for &size in &sizes {
        let data = item(size as u64, size);
        assert_eq!(bed.client.echo(data.clone()).await.unwrap(), data);
    }
    let items: Vec<_> = sizes.iter().map(|&size| item(size as u64, size)).collect();
    let requests = Streaming::from_iter(items.clone());
    let responses = bed.client.chat(&cx, requests).await.unwrap();
    assert!(responses.collect().await.unwrap() == items);
}

pub(super) async fn both_codecs_carry_every_kind_of_field(bed: &Bed) {
    let parcels: Vec<Parcel> = (0..50)
        .map(|number| Parcel {
            number,
            label: "x".repeat(number as usize),
            weight: (number % 2 == 0).then_some(number as f64 / 3.0),
            data: item(number, 30),
            parts: vec![number.to_string(); number as usize % 4],
            inner: (number % 3 == 0).then(|| {
                Box::new(Parcel {
                    number: number + 1,
                    ..Parcel::default()
                })
            }),
        })
        .collect();
    let requests = Streaming::from_iter(parcels.clone());
    let responses = bed.client.parcels(requests).await.unwrap();
    assert_eq!(responses.collect().await.unwrap(), parcels);
    // And they did travel in the codec that the transport said.
    assert_eq!(bed.codecs(), [bed.connected.codec]);
}
