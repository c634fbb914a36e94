"""Books a stay with stubs generated from the contracts: book.py <host:port>."""

import datetime
import sys
import uuid

import grpc
from google.rpc import error_details_pb2, status_pb2
from google.type import date_pb2, money_pb2

from berth.common.v1 import access_pb2
from berth.member.v1 import service_pb2 as members, service_pb2_grpc as members_grpc
from berth.offer.v1 import offer_pb2 as offers
from berth.reservation.v1 import reservation_pb2
from berth.reservation.v1 import service_pb2 as reservations, service_pb2_grpc as reservations_grpc
from berth.room.v1 import room_pb2
from berth.room.v1 import service_pb2 as rooms, service_pb2_grpc as rooms_grpc

# The timeout of a call in seconds.
TIMEOUT = 10


def join(channel, name, role):
    """Registers a member and signs in; returns the id and the metadata of every call."""
    service = members_grpc.MemberServiceStub(channel)
    member_id = str(uuid.uuid4())
    email = f"{name}-{member_id}@python.example"
    password = "correct horse battery staple"
    join = members.JoinRequest(
        member_id=member_id, email=email, display_name=name, password=password, roles=[role]
    )
    service.Join(join, timeout=TIMEOUT)
    signed_in = service.SignIn(members.SignInRequest(email=email, password=password), timeout=TIMEOUT)
    return member_id, [("authorization", f"Bearer {signed_in.tokens.access_token}")]


def nights(first, count):
    """A period of nights."""
    day = lambda date: date_pb2.Date(year=date.year, month=date.month, day=date.day)
    dates = offers.DateRange(
        start_date=day(first), end_date=day(first + datetime.timedelta(days=count))
    )
    return offers.Period(dates=dates)


def refusal(call):
    """Makes a call that must be refused; returns the code and the details by type."""
    try:
        answer = call()
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        assert status.code == error.code().value[0], status
        details = {}
        for kind in (error_details_pb2.ErrorInfo, error_details_pb2.BadRequest):
            for packed in status.details:
                detail = kind()
                if packed.Unpack(detail):
                    details[kind] = detail
        return error.code(), details
    raise AssertionError(f"not refused: {answer}")


def main(address):
    # Without the proxy of the machine.
    options = [("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options) as channel:
        host_id, host = join(channel, "host", access_pb2.ROLE_HOST)
        guest_id, guest = join(channel, "guest", access_pb2.ROLE_CUSTOMER)
        rival_id, rival = join(channel, "rival", access_pb2.ROLE_CUSTOMER)

        room = room_pb2.Room(
            room_id=str(uuid.uuid4()),
            host_id=host_id,
            title="Room 7",
            unit=offers.UNIT_NIGHT,
            max_persons=2,
            price=money_pb2.Money(currency_code="EUR", units=80, nanos=500_000_000),
            time_zone="Europe/Paris",
        )
        rooms_stub = rooms_grpc.RoomServiceStub(channel)
        register = rooms.RegisterRoomRequest(room=room)
        registered = rooms_stub.RegisterRoom(register, metadata=host, timeout=TIMEOUT)
        assert registered.room.status == room_pb2.ROOM_STATUS_AVAILABLE, registered

        stub = reservations_grpc.ReservationServiceStub(channel)
        first = datetime.date.today() + datetime.timedelta(days=30)
        request = reservations.RequestReservationRequest(
            reservation_id=str(uuid.uuid4()),
            offer_id=room.room_id,
            customer_id=guest_id,
            period=nights(first, 2),
            payment_method="tok_approved",
        )
        booked = stub.RequestReservation(request, metadata=guest, timeout=TIMEOUT).reservation
        assert booked.status == reservation_pb2.RESERVATION_STATUS_CONFIRMED, booked
        assert booked.price == money_pb2.Money(currency_code="EUR", units=161), booked.price

        request.reservation_id, request.customer_id = str(uuid.uuid4()), rival_id
        code, details = refusal(
            lambda: stub.RequestReservation(request, metadata=rival, timeout=TIMEOUT)
        )
        info = details[error_details_pb2.ErrorInfo]
        assert code == grpc.StatusCode.FAILED_PRECONDITION, code
        assert (info.reason, info.domain) == ("SOLD_OUT", "berth"), info

        request.period.Clear()
        request.payment_method = ""
        code, details = refusal(
            lambda: stub.RequestReservation(request, metadata=rival, timeout=TIMEOUT)
        )
        wrong = {v.field for v in details[error_details_pb2.BadRequest].field_violations}
        assert code == grpc.StatusCode.INVALID_ARGUMENT, code
        assert wrong == {"period", "payment_method"}, wrong
        print("booked", booked.reservation_id)


main(sys.argv[1])
