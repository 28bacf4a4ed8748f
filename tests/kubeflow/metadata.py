"""ML Metadata's gRPC service, which Kubeflow's driver and launcher call, on ML Metadata's own engine and SQLite."""

from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass
from ml_metadata import errors
from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from ml_metadata.proto.metadata_store_service_pb2 import DESCRIPTOR

_SERVICE = DESCRIPTOR.services_by_name["MetadataStoreService"]
_CODES = {code.value[0]: code for code in grpc.StatusCode}


@contextmanager
def serving(file: Path, port: int) -> Iterator[MetadataStore]:
    """Serves a new SQLite file on 127.0.0.1, and yields its store."""
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(file)
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    store = MetadataStore(config)
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(
            _forward(store, method.name, GetMessageClass(method.output_type)),
            GetMessageClass(method.input_type).FromString,
            GetMessageClass(method.output_type).SerializeToString,
        )
        for method in _SERVICE.methods
    }
    server = grpc.server(futures.ThreadPoolExecutor(1))  # one thread: the engine has one connection
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE.full_name, handlers)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield store
    finally:
        server.stop(None).wait()


def _forward(store: MetadataStore, name: str, answer: type) -> Callable[[Any, grpc.ServicerContext], Any]:
    def call(request: Any, context: grpc.ServicerContext) -> Any:
        response = answer()
        try:
            store._call(name, request, response)
        except errors.StatusError as error:
            context.abort(_CODES[error.error_code], error.message)
        return response

    return call
